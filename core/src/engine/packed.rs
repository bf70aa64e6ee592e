//! Running a compressed network with packed weights: how fast it is here, and what is left of its quality.

use super::{Engine, Observer, lock};
use crate::benchmark::packed::{LEAST, PackedModel};
use crate::benchmark::{PackedQuality, PackedRun};
use crate::compress::Compressed;
use crate::error::{Error, Result};
use crate::evaluate::{Accumulator, EvaluationSet};
use crate::power::Meter;
use crate::recipe::{Override, Recipe, Width};
use crate::run::WithBlocks;
use crate::scenario::Scenario;

impl Engine {
    /// Compresses the weights as the recipe says, packs them in the stored formats nearest to its bits (in its blocks,
    /// exactly as they are, where it asks for blocks), and runs the whole
    /// network through candle's kernels for these: quality on the coarse subset, then speed and energy of one unit of work
    /// at a time, of the scenario's batch, and for language models of reading a text. Where no student of the wanted ratio
    /// is finished, the nearest one stands in. The observer is asked between runs.
    ///
    /// # Errors
    /// The recipe is out of range, [`Error::Cancelled`] if the observer wished so, or a computation failed.
    pub fn measure_packed(
        &self,
        recipe: &Recipe,
        scenario: &Scenario,
        observer: &dyn Observer,
    ) -> Result<PackedRun> {
        self.check_own("run with packed weights")?;
        let recipe = self.checked(recipe)?;
        self.check_whole("run packed")?;
        let bits = |own: Override| matches!(own.weights, Some(Width::Bits(_)));
        if recipe.layers.iter().any(|(_, own)| bits(own)) {
            return Err(Error::Infeasible(
                "the kernels that run packed weights take one width for all layers, or blocks of llama.cpp for some"
                    .to_owned(),
            ));
        }
        let student = self.student(&recipe);
        let key = format!("packed {}", super::store_key(&recipe, student.as_deref()));
        let id = super::network_id(student.as_deref());
        self.attempts.run(&key, &id, || {
            let network = self.network(student.as_deref())?;
            self.time_packed(&network, &recipe, scenario, observer)
        })
    }

    fn time_packed(
        &self,
        network: &super::Network,
        recipe: &Recipe,
        scenario: &Scenario,
        observer: &dyn Observer,
    ) -> Result<PackedRun> {
        observer.progress("Packing the weights", 0.0);
        let compressed = lock(&network.compressor).compress(recipe, &|| observer.cancelled())?;
        let packed = PackedModel::new(
            &network.architecture,
            WithBlocks {
                tensors: &compressed.tensors,
                blocks: &compressed.blocks,
            },
            &compressed.profile,
            recipe,
        );
        let run = packed.and_then(|packed| {
            let quality = self.packed_quality(&packed, network, &compressed, recipe, observer)?;
            let mut run = packed.describe();
            run.quality = quality;
            let mut meter = Meter::packages();
            let works = packed.works(scenario);
            for (i, work) in works.iter().enumerate() {
                let what = format!("Timing packed weights, {}", work.words());
                observer.progress(&what, (1 + i) as f64 / (1 + works.len()) as f64);
                let stop = || going_on(observer);
                let speed = packed.time(*work, LEAST, &mut meter, &stop)?;
                run.speeds.push(speed);
            }
            Ok(run)
        });
        lock(&network.compressor).recycle(compressed);
        run
    }

    fn packed_quality(
        &self,
        packed: &PackedModel,
        network: &super::Network,
        compressed: &Compressed,
        recipe: &Recipe,
        observer: &dyn Observer,
    ) -> Result<Option<PackedQuality>> {
        if matches!(self.set, EvaluationSet::Pictures(_)) {
            // Packed networks are run as a whole, and pictures are judged by samples drawn on the way.
            return Ok(None);
        }
        let baseline = self.baseline(observer)?;
        let bits = recipe.quantization.activation_bits;
        let mut through_kernels = Accumulator::new(&self.set, baseline);
        let mut engine = Accumulator::new(&self.set, baseline);
        let ready = network.architecture.ready(&compressed.tensors, bits)?;
        while engine.seen() < self.set.coarse() {
            going_on(observer)?;
            let done = engine.seen() as f64 / self.set.coarse() as f64;
            observer.progress("Quality of packed weights", done / 4.0);
            engine.step(&ready)?;
            through_kernels.step_through(&mut |input| packed.network.run(input))?;
        }
        Ok(Some(PackedQuality {
            packed: through_kernels.quality(),
            engine: engine.quality(),
        }))
    }
}

fn going_on(observer: &dyn Observer) -> Result<()> {
    if observer.cancelled() {
        Err(Error::Cancelled)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Unobserved;
    use super::*;
    use crate::benchmark::{Energy, Work};
    use crate::hardware;
    use crate::model::ModelReference;
    use crate::recipe::BlockFormat;

    /// What rounding weights to 8 bits a second time, in other groups, and activations to 8 bits may change.
    const ACCURACY: f64 = 0.01;
    const BITS_PER_BYTE: f64 = 0.01;

    #[test]
    fn packed_models_are_as_good_as_the_engines_own_and_timed_in_order() {
        let target = hardware::this_machine(None).unwrap();
        for (name, tolerance, works) in
            [("fashion-cnn", ACCURACY, 2), ("tiny-gpt", BITS_PER_BYTE, 3)]
        {
            let engine = Engine::open(&ModelReference::Bundled(name.to_owned())).unwrap();
            let mut recipe = Recipe::default();
            recipe.quantization.weight_bits = 8;
            let scenario = Scenario {
                batch: 4,
                ..Scenario::default()
            };
            let run = engine
                .measure_packed(&recipe, &scenario, &Unobserved)
                .unwrap();
            let quality = run.quality.unwrap();
            assert_eq!(quality.packed.n, engine.evaluation_set().coarse());
            let change = (quality.packed.value - quality.engine.value).abs();
            assert!(change <= tolerance, "{name}: {change}");
            assert_eq!(run.speeds.len(), works);
            for speed in &run.speeds {
                let spread = &speed.units_per_s;
                assert!(spread.repeats >= 5 && spread.lower_quartile > 0.0);
                assert!(spread.lower_quartile <= spread.median);
                assert!(spread.median <= spread.upper_quartile);
                match &speed.energy {
                    Energy::Measured(joules) => assert!(joules.median > 0.0),
                    Energy::Unknown(reason) => assert!(!reason.is_empty()),
                }
                let predicted = run.predicted(speed.work, &target).unwrap().range;
                assert!(0.0 < predicted.low.0 && predicted.low.0 <= predicted.high.0);
            }
            let bytes = run.bytes as f64 / (engine.model().architecture.parameters() as f64);
            assert!(
                (1.0..1.3).contains(&bytes),
                "{name}: {bytes} bytes per parameter"
            );
        }
    }

    #[test]
    fn a_student_is_smaller_and_zeros_are_not() {
        let engine = Engine::open(&ModelReference::Bundled("tiny-gpt".to_owned())).unwrap();
        let packed = |change: &dyn Fn(&mut Recipe)| {
            let mut recipe = Recipe::default();
            recipe.quantization.weight_bits = 4;
            change(&mut recipe);
            let network = engine.network(engine.student(&recipe).as_deref()).unwrap();
            let compressed = lock(&network.compressor)
                .compress(&recipe, &|| false)
                .unwrap();
            PackedModel::new(
                &network.architecture,
                WithBlocks {
                    tensors: &compressed.tensors,
                    blocks: &compressed.blocks,
                },
                &compressed.profile,
                &recipe,
            )
            .unwrap()
            .describe()
        };
        let whole = packed(&|_| {});
        let pruned = packed(&|recipe| recipe.pruning.sparsity = 0.9);
        assert_eq!(pruned.bytes, whole.bytes);
        assert!(
            pruned
                .notes()
                .iter()
                .any(|note| note.starts_with("zeros are stored"))
        );
        assert_eq!(whole.format_names(), "Q4_0");
        let floats = |ratio| {
            packed(&|recipe| {
                recipe.quantization.weight_bits = 32;
                recipe.distillation.ratio = ratio;
            })
        };
        let share = floats(0.5).bytes as f64 / floats(1.0).bytes as f64;
        assert!((share - 0.5).abs() < 0.02, "{share}");
        // Its rows fill no block.
        let student = packed(&|recipe| recipe.distillation.ratio = 0.5);
        assert!(
            student.format_names().starts_with("F32"),
            "{}",
            student.format_names()
        );
        assert!(
            student
                .notes()
                .iter()
                .any(|note| note.contains("blocks of 32"))
        );
    }

    #[test]
    fn works_follow_the_scenario_and_what_was_asked_before_can_be_cancelled() {
        struct Never;
        impl Observer for Never {
            fn cancelled(&self) -> bool {
                true
            }
            fn progress(&self, _: &str, _: f64) {}
            fn measured(&self, _: &crate::measurement::Measurement) {}
        }
        let engine = Engine::open(&ModelReference::Bundled("tiny-gpt".to_owned())).unwrap();
        let recipe = Recipe::default();
        let scenario = Scenario {
            batch: 100_000,
            context: 100_000,
            ..Scenario::default()
        };
        let error = engine
            .measure_packed(&recipe, &scenario, &Never)
            .unwrap_err();
        assert_eq!(error, Error::Cancelled);
        let model = engine.model();
        let profile = engine.predict(&recipe).unwrap();
        let packed = PackedModel::new(
            &model.architecture,
            WithBlocks::none(&model.tensors),
            &profile,
            &recipe,
        )
        .unwrap();
        let expected = [
            Work::Write {
                batch: 1,
                context: 127,
            },
            Work::Write {
                batch: 256,
                context: 127,
            },
            Work::Read { batch: 128 },
        ];
        assert_eq!(packed.works(&scenario), expected);
    }

    #[test]
    fn models_in_files_are_timed_on_any_number_of_threads_experts_included() {
        let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(5).build();
        let pool = pool.unwrap();
        // Rows of the second fill no block and are in half precision.
        for (name, least) in [("language/llama", 1.0), ("language/granitemoe.gguf", 2.0)] {
            let engine = Engine::open(&ModelReference::File(folder.join(name))).unwrap();
            let mut recipe = Recipe::default();
            recipe.quantization.blocks = Some(BlockFormat::Q8_0);
            let formats = engine.layer_formats(&recipe);
            let is_router = |layer: &str| layer.ends_with("ffn_gate_inp");
            assert!(!formats.iter().any(|format| is_router(&format.layer)));
            let scenario = Scenario::default();
            let run = pool.install(|| engine.measure_packed(&recipe, &scenario, &Unobserved));
            let run = run.unwrap();
            let quality = run.quality.unwrap();
            assert!(quality.packed.n >= engine.evaluation_set().coarse());
            let apart = (quality.packed.value / quality.engine.value).ln().abs();
            assert!(apart < 0.1, "{name}: {quality:?}");
            let parameters = engine.model().architecture.parameters() as f64;
            let bytes = run.bytes as f64 / parameters;
            // Routers and vectors are in single precision, and a shared table is held twice.
            let all = least..1.6 * least;
            assert!(all.contains(&bytes), "{name}: {bytes}, {:?}", run.formats);
        }
    }
}
