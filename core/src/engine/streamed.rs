//! Measuring a model whose weights stay in their file: part by part, first on few texts, then on more.

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::kept::KeptMeasurements;
use super::{Engine, Network, Observer, lock};
use crate::compress::{OnDemand, Originals};
use crate::error::{Error, Result};
use crate::evaluate::{Accumulator, Answers, Baseline, EvaluationSet, Original, Written, written};
use crate::graph::Graph;
use crate::measurement::{Depth, Example, Measurement, Metric};
use crate::recipe::Recipe;
use crate::run::{Stream, Weights};
use crate::weights::Source;

/// Parameters of the largest model that is held in memory whole where that is needed: in half precision to write texts, in
/// single precision to export it or to run it packed.
pub(super) const LARGEST_WHOLE: u64 = 1_500_000_000;
/// The second of three results is measured on one in so many of the items of a set.
const SECOND: usize = 4;
/// Seconds for which a newer wish waits for the coarse result of an older one.
const PATIENCE: f64 = 2.0;
/// Shortest time left that is worth telling, in seconds.
const WORTH_TELLING: f64 = 2.0;

/// What is known of a model whose weights stay in their file.
pub(super) struct Streamed {
    kept: KeptMeasurements,
    graph: Graph,
    weights: Originals,
    original: Mutex<Original>,
    texts: OnceLock<Vec<Written>>,
}

/// How far a measurement is.
struct Watch<'a> {
    observer: &'a dyn Observer,
    /// Whether the coarse result is there, so that the rest may be cancelled.
    coarse: bool,
    /// Texts run before, in this stage and in all stages, the original's where it is run too.
    passed: usize,
    stage: usize,
    all: usize,
    start: Instant,
}

impl Watch<'_> {
    /// Says before a part what is being done; the error where that is not wanted any more.
    fn before(&self, what: &str, part: usize, parts: usize) -> Result<()> {
        let within = part as f64 / parts as f64 * self.stage as f64;
        let done = (self.passed as f64 + within) / self.all.max(1) as f64;
        let each = self.start.elapsed().as_secs_f64() / (self.passed as f64 + within).max(1e-9);
        let left = each * (self.all as f64 - self.passed as f64 - within);
        // The first parts do not tell yet.
        let soon = part < parts / 8 || each * (self.stage as f64 - within) < PATIENCE;
        if self.observer.abandoned() || (self.observer.cancelled() && (self.coarse || !soon)) {
            return Err(Error::Cancelled);
        }
        if done > 0.0 && left >= WORTH_TELLING {
            let what = format!("{what}, {left:.0} s left");
            self.observer.progress(&what, done);
        } else {
            self.observer.progress(what, done);
        }
        Ok(())
    }
}

impl Streamed {
    pub(super) fn new(
        graph: Graph,
        source: &Arc<dyn Source>,
        (name, model_hash): (&str, &str),
        set: &EvaluationSet,
    ) -> Self {
        // Two files that are alike where the fingerprint looks are told apart by their sizes and times.
        let states = source.paths().into_iter().map(|path| {
            let metadata = std::fs::metadata(path).ok();
            let changed = metadata.as_ref().and_then(|found| found.modified().ok());
            format!("{:?} {changed:?}", metadata.map(|found| found.len()))
        });
        let data = [set.fingerprint(), name.to_owned()]
            .into_iter()
            .chain(states);
        let data: Vec<String> = data.collect();
        Self {
            kept: KeptMeasurements::new(model_hash, &data.join("\n")),
            graph,
            weights: Originals::from(source),
            original: Mutex::default(),
            texts: OnceLock::new(),
        }
    }
}

impl Streamed {
    /// Keeps full measurements in the cache folder.
    pub(super) fn keep(&mut self) {
        self.kept.keep();
    }
}

impl Engine {
    /// The original's answers on the coarse subset, of a model whose weights stay in their file.
    pub(super) fn coarse_baseline(
        &self,
        streamed: &Streamed,
        observer: &dyn Observer,
    ) -> Result<Baseline> {
        let end = self.set.coarse_items();
        let watch = Watch {
            observer,
            coarse: false,
            passed: 0,
            stage: 1,
            all: 1,
            start: Instant::now(),
        };
        let stream = Stream::new(&streamed.graph, 32)?;
        let mut original = lock(&streamed.original);
        let before =
            &mut |part: usize, parts: usize| watch.before("Measuring the original", part, parts);
        original.reach(&stream, &streamed.weights, &self.set, end, before)?;
        let answers = original.answers.iter().take(end).cloned().collect();
        Ok(Baseline::of(answers))
    }

    /// As [`Engine::measure`].
    pub(super) fn measure_streamed(
        &self,
        streamed: &Streamed,
        network: &Network,
        (recipe, key): (Recipe, &str),
        depth: Depth,
        observer: &dyn Observer,
    ) -> Result<Measurement> {
        let network_known = self.planner.plan(&recipe).network;
        if let Some(kept) = streamed.kept.read(key, network_known) {
            observer.measured(&kept);
            return Ok(self.remember(key, kept));
        }
        let known = lock(&self.store).get(key).cloned();
        let measured_in_full = known.filter(|known| known.depth == Depth::Full);
        let mut compressor = lock(&network.compressor);
        observer.progress("Reading the weights", 0.0);
        let begun = Instant::now();
        let weights = compressor.on_demand(&recipe, &|| {
            let waited = begun.elapsed().as_secs_f64() > PATIENCE;
            observer.abandoned() || (waited && observer.cancelled())
        })?;
        let stream = Stream::new(&streamed.graph, recipe.quantization.activation_bits)?;
        let stages = match measured_in_full {
            // Only its texts are not there yet.
            Some(_) => Vec::new(),
            None => self.stages(depth, stream.bytes_per_token()),
        };
        let mut answers: Vec<Answers> = Vec::new();
        let mut measurement = measured_in_full;
        let known = lock(&streamed.original).answers.len();
        let end = stages.last().map_or(0, |stage| stage.end);
        let mut watch = Watch {
            observer,
            coarse: false,
            passed: 0,
            stage: 0,
            // The original need not be compared with itself.
            all: end.saturating_sub(known)
                + match recipe.is_identity() {
                    true => stages.first().map_or(0, |stage| stage.end),
                    false => end,
                },
            start: Instant::now(),
        };
        for (i, stage) in stages.iter().enumerate() {
            let same = i > 0 && recipe.is_identity();
            let weights_now = (!same).then_some(&weights);
            let run = (&stream, weights_now);
            let (more, baseline) = self.stage(streamed, run, stage.clone(), &mut watch)?;
            answers.extend(more);
            let mut accumulator = Accumulator::new(&self.set, &baseline);
            accumulator.add_all(&answers)?;
            let reached = match (i, accumulator.is_complete()) {
                (_, true) => Depth::Full,
                _ if stage.end <= self.set.coarse_items() => Depth::Coarse,
                _ => Depth::Partial,
            };
            let measured = Measurement {
                recipe: recipe.clone(),
                model_hash: self.model.hash.clone(),
                depth: reached,
                quality: accumulator.quality(),
                profile: weights.profile()?,
                student: network.note(&recipe, true),
                examples: accumulator.made(),
            };
            let measured = self.remember(key, measured);
            if depth > reached || reached == Depth::Full || i + 1 < stages.len() {
                observer.measured(&measured);
            }
            watch.coarse = true;
            measurement = Some(measured);
        }
        let mut measurement = measurement
            .ok_or_else(|| Error::Compute("there is nothing to measure on".to_owned()))?;
        if measurement.depth == Depth::Full {
            if matches!(self.set, EvaluationSet::Text(_)) {
                measurement.examples = self.texts_of(streamed, &recipe, &weights, observer)?;
            }
            streamed.kept.write(key, &measurement);
            measurement = self.remember(key, measurement);
        }
        Ok(measurement)
    }

    /// What a recipe's weights answer to the items of a stage, the original's answers to them where none are given, and those
    /// of the original up to its end.
    fn stage(
        &self,
        streamed: &Streamed,
        (stream, weights): (&Stream<'_>, Option<&OnDemand<'_>>),
        stage: Range<usize>,
        watch: &mut Watch<'_>,
    ) -> Result<(Vec<Answers>, Baseline)> {
        let mut original = lock(&streamed.original);
        watch.stage = stage.end.saturating_sub(original.answers.len());
        original.reach(
            &stream.unrounded(),
            &streamed.weights,
            &self.set,
            stage.end,
            &mut |part, parts| watch.before("Measuring the original", part, parts),
        )?;
        watch.passed += watch.stage;
        watch.stage = 0;
        let answers = match weights {
            None => original.same(stage.clone()),
            Some(weights) => {
                watch.stage = stage.len();
                original.compared(
                    stream,
                    (weights, &streamed.weights),
                    &self.set,
                    stage.clone(),
                    &mut |part, parts| watch.before("Measuring quality", part, parts),
                )?
            }
        };
        watch.passed += watch.stage;
        let known = original.answers.iter().take(stage.end);
        Ok((answers, Baseline::of(known.cloned().collect())))
    }

    /// Whether a full measurement was ended before its texts were written.
    pub(super) fn lacks_texts(&self, measurement: &Measurement) -> bool {
        let ended = measurement.depth == Depth::Full && measurement.examples.is_empty();
        self.streamed.is_some() && self.writes() && ended
    }

    /// How long it takes to make ready for a recipe's weights and, where `all` says so, to ask for all of them.
    ///
    /// # Errors
    /// The weights cannot be read.
    pub(crate) fn stored_pass(&self, recipe: &Recipe, all: bool) -> Result<Duration> {
        let network = self.network(None)?;
        let mut compressor = lock(&network.compressor);
        let start = Instant::now();
        let weights = compressor.on_demand(recipe, &|| false)?;
        if all {
            for (name, shape) in self.model.architecture.tensor_shapes() {
                weights.lay_out(&name, &shape)?;
            }
        }
        Ok(start.elapsed())
    }

    /// The items that results are given for, one after another: few, more, all; never so many at once that what stands
    /// between two parts, of so many bytes for each token, takes more than a few hundred megabytes.
    fn stages(&self, depth: Depth, bytes_per_token: usize) -> Vec<Range<usize>> {
        /// Bytes that stand between two parts.
        const MOST: usize = 1 << 28;
        let each = (bytes_per_token * self.set.item_length()).max(1);
        let most = (MOST / each).max(2);
        let (coarse, all) = (self.set.coarse_items(), self.set.items());
        // A first glance at a single context is there in half the time.
        let glance = match self.set.metric() {
            Metric::Perplexity => 1,
            _ => coarse,
        };
        let mut ends = vec![glance, coarse];
        if depth > Depth::Coarse {
            let mut end = (all / SECOND).max(coarse).min(coarse + most);
            while end < all {
                ends.push(end);
                end += most;
            }
            ends.push(all);
        }
        ends.dedup();
        let starts = std::iter::once(0).chain(ends.clone());
        starts.zip(ends).map(|(start, end)| start..end).collect()
    }

    /// Texts that the original and the compressed network write, each with its weights in half precision; none of a network
    /// that is too large for that.
    fn texts_of(
        &self,
        streamed: &Streamed,
        recipe: &Recipe,
        weights: &OnDemand<'_>,
        observer: &dyn Observer,
    ) -> Result<Vec<Example>> {
        if !self.writes() {
            return Ok(Vec::new());
        }
        let write = |weights: &dyn Weights, activation_bits| {
            if observer.abandoned() || observer.cancelled() {
                return Err(Error::Cancelled);
            }
            observer.progress("Writing texts", 1.0);
            let network = crate::run::Network::halved(&streamed.graph, weights, activation_bits)?;
            written(&network, &self.set)
        };
        let original = match streamed.texts.get() {
            Some(texts) => texts,
            None => {
                let texts = write(&streamed.weights, 32)?;
                streamed.texts.get_or_init(|| texts)
            }
        };
        if recipe.is_identity() {
            return Ok(Written::beside(original, original, &self.set));
        }
        let compressed = write(weights, recipe.quantization.activation_bits)?;
        Ok(Written::beside(original, &compressed, &self.set))
    }
}
