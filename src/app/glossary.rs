//! What the words of the window mean, in plain sentences: the standard definitions of the field.

/// A column of the figures.
pub(super) fn column(title: &str) -> &'static str {
    match title {
        "Original" => "The model as it was published: nothing pruned, quantised or distilled",
        "Now" => "The configuration that the sliders show",
        "A" => "The configuration that was pinned as A, as it was then",
        "B" => "The configuration that was pinned as B, as it was then",
        _ => "The figures that the preset was saved with",
    }
}

/// What the window calls a model.
pub(super) const MODEL: &str = "The neural network that is compressed";

/// A device on which the model runs.
pub(super) const HARDWARE: &str =
    "The device on which the model runs; its figures carry their sources";

/// Where the electricity comes from.
pub(super) const REGION: &str = "Where the electricity comes from; its carbon intensity is the CO₂e that a kilowatt-hour of the grid emits";

/// The programs around a language model.
pub(super) const SOFTWARE: &str = "What runs the network: the bare runtime starts one kernel after another, a serving stack also batches requests, \
                                   samples and waits for its host, by the year of its release";

/// Numbers that share a scale.
pub(super) const GROUP: &str = "Group: weights that share one scale, the factor between stored integers and values. Smaller groups lose less and \
                                store more scales";

/// Of distillation.
pub(super) const TEMPERATURE: &str = "Divides the logits before the softmax while a student learns: above 1 the answers of the original are softer and \
                                      tell more than the best one. The ready students were trained at 2";

/// Sums over the whole device.
pub(super) const ENERGY: &str =
    "Energy at the machine for one unit of work, by where it goes; a range from low to high";

/// Gives a control its meaning for those who cannot see its tooltip.
pub(super) fn describe(response: &egui::Response, meaning: &str) {
    response
        .ctx
        .accesskit_node_builder(response.id, |node| node.set_description(meaning));
}
