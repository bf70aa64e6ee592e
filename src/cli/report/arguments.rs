//! The arguments of `wattif report`.

use std::path::PathBuf;

use clap::Args;

use super::super::arguments::{ScenarioArguments, SourceArguments};

/// Arguments of `wattif report`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(in crate::cli) struct ReportArguments {
    #[command(flatten)]
    pub(super) source: SourceArguments,
    #[command(flatten)]
    pub(super) scenario: ScenarioArguments,
    /// Print JSON instead of text
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
    /// Print the formula behind each modelled number, with its values
    #[arg(long, help_heading = "Output", conflicts_with = "json")]
    pub(super) explain: bool,
    /// Run the compressed model with packed weights on this machine, beside the prediction for it
    #[arg(long, help_heading = "Output")]
    pub(super) measure_speed: bool,
    /// Measure a language model on this text in place of the one that ships: all of it, in contexts of --context tokens (512)
    /// that do not overlap, of which the second half is scored, as llama.cpp's perplexity does; a model of bytes is measured
    /// on all of its own contexts, an encoder on its sentences or lines. The word 'code' stands for 34 KiB of program code that
    /// ship, in contexts of 256
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Measurement",
        conflicts_with = "save"
    )]
    pub(super) text: Option<PathBuf>,
    /// Measure a classifier on these labelled images in place of those that ship: a folder with one folder of PNG, JPEG or
    /// WebP files for each class, in the order of their names (or called by the numbers of classes), one of a pair of IDX
    /// files, or an .npz with x and y; an ONNX file on an .npz with arrays by the names of its inputs, samples first
    #[arg(
        long,
        visible_alias = "data",
        value_name = "PATH",
        help_heading = "Measurement",
        conflicts_with_all = ["save", "text"]
    )]
    pub(super) images: Option<PathBuf>,
    /// How images become what the network reads, e.g. "resize=256 crop=224 mean=0.485,0.456,0.406 std=0.229,0.224,0.225
    /// order=rgb"; where it is not given, what preprocessor_config.json or config.json beside the model says
    #[arg(
        long,
        value_name = "STEPS",
        help_heading = "Measurement",
        requires = "images"
    )]
    pub(super) preprocess: Option<String>,
    /// A size that an ONNX file leaves open, repeatable: height=320
    #[arg(long = "axis", value_name = "NAME=SIZE", help_heading = "Measurement", value_parser = axis, conflicts_with = "save")]
    pub(super) axes: Vec<(String, u64)>,
    /// Continue this prompt with the original and with the compressed model
    #[arg(long, value_name = "TEXT", help_heading = "Measurement")]
    pub(super) prompt: Option<String>,
    /// Use the nearest finished student where the wanted one is not trained yet, instead of training it
    #[arg(long, help_heading = "Recipe")]
    pub(super) nearest_student: bool,
    /// Write the configuration and its figures as a preset
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(super) save: Option<PathBuf>,
    /// Title of the saved preset
    #[arg(long, value_name = "TEXT", help_heading = "Output", requires = "save")]
    pub(super) title: Option<String>,
    /// Notes of the saved preset
    #[arg(long, value_name = "TEXT", help_heading = "Output", requires = "save")]
    pub(super) notes: Option<String>,
}

/// A size by its name.
fn axis(text: &str) -> Result<(String, u64), String> {
    let size = text.rsplit_once('=').and_then(|(name, size)| {
        let size = size.trim().parse().ok()?;
        Some((name.to_owned(), size))
    });
    let wanted = size.filter(|(_, size)| (1..=1 << 20).contains(size));
    wanted.ok_or_else(|| {
        format!(
            "'{text}' is not NAME=SIZE with a size from 1 to {}",
            1 << 20
        )
    })
}
