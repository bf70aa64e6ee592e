//! Weights that are written as their folder has them.

use super::*;

fn numbers((format, _, bytes): &(Value, Vec<usize>, Vec<u8>)) -> Vec<f32> {
    let halves = bytes.chunks_exact(2).map(|two| [two[0], two[1]]);
    match format.as_str().unwrap() {
        "F16" => halves
            .map(|two| half::f16::from_le_bytes(two).to_f32())
            .collect(),
        "BF16" => halves
            .map(|two| half::bf16::from_le_bytes(two).to_f32())
            .collect(),
        other => panic!("{other}"),
    }
}

/// Some zeros, and the rest in 8 bits.
fn recipe() -> Recipe {
    let mut recipe = Recipe::default();
    recipe.pruning.sparsity = 0.3;
    recipe.quantization.weight_bits = 8;
    recipe
}

/// As they lie (BF16 with a tied head in F16), turned, by heads, and experts below each other.
const WRITTEN: [&str; 6] = [
    "llama",
    "qwen2",
    "gpt2",
    "falcon-new",
    "gpt_bigcode-heads",
    "mixtral",
];

#[test]
fn what_is_written_as_it_came_opens_with_the_values_that_were_measured() {
    for kind in WRITTEN {
        let folder = copy(kind);
        let engine = Engine::open(&ModelReference::File(folder.path().to_owned())).unwrap();
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("model.safetensors");
        let bytes = engine.export(&recipe(), &path).unwrap();
        assert_eq!(bytes, fs::metadata(&path).unwrap().len(), "{kind}");
        // The same names, shapes and formats, and what no recipe touches bit by bit.
        let (before, after) = (stored(&folder.path().join(WEIGHTS[1])), stored(&path));
        let mut changed = 0;
        for (name, new) in &after {
            let old = &before[name];
            assert_eq!((&old.0, &old.1), (&new.0, &new.1), "{kind} {name}");
            if old.2 == new.2 {
                continue;
            }
            changed += 1;
            // Every number is near the old one, or a pruned one.
            let (old, new) = (numbers(old), numbers(new));
            let most = old.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let zeros = new.iter().filter(|x| **x == 0.0).count();
            assert!(zeros * 10 >= new.len() * 2, "{kind} {name}: {zeros}");
            for (old, new) in old.iter().zip(&new) {
                assert!(
                    *new == 0.0 || (old - new).abs() < most / 60.0,
                    "{kind} {name}"
                );
            }
        }
        assert!(changed >= 4, "{kind}: {changed}");
        assert!(before.keys().all(|name| after.contains_key(name)), "{kind}");
        for name in [CONFIG, TOKENIZER] {
            let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
            assert_eq!(read(folder.path()), read(out.path()), "{kind}");
        }
        // Opened again it is the network that the measurement ran, but for the format's last place.
        let reopened = Engine::open(&ModelReference::File(out.path().to_owned())).unwrap();
        let measured = engine
            .measure(&recipe(), Depth::Coarse, &Unobserved)
            .unwrap();
        let again = reopened
            .measure(&Recipe::default(), Depth::Coarse, &Unobserved)
            .unwrap();
        let (one, other) = (measured.quality.value, again.quality.value);
        let apart = (one / other - 1.0).abs();
        println!("{kind}: {one} {other} {apart:.1e}");
        assert!(apart < 2e-3, "{kind}: {one} {other}");
        let gap = (measured.quality.baseline / one - 1.0).abs();
        assert!(
            gap > apart,
            "{kind}: the recipe changes more than the format"
        );
    }
}

#[test]
fn what_is_written_says_by_what_recipe() {
    let folder = copy("qwen3");
    let engine = Engine::open(&ModelReference::File(folder.path().to_owned())).unwrap();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("mine.safetensors");
    engine.export(&recipe(), &path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(length % 8, 0);
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let metadata = &header["__metadata__"];
    let written: Recipe =
        serde_json::from_str(metadata["wattif.recipe"].as_str().unwrap()).unwrap();
    assert_eq!(written, recipe().canonical());
    assert_eq!(metadata["format"], "pt");
    assert_eq!(metadata["wattif.model_hash"], engine.model().hash.as_str());
    // The same model in 16 bits as it was: nothing is changed.
    let same = out.path().join("same.safetensors");
    engine.export(&Recipe::default(), &same).unwrap();
    assert_eq!(stored(&same), stored(&folder.path().join(WEIGHTS[1])));
}

#[test]
fn what_would_be_written_over_or_read_wrongly_is_refused() {
    let folder = copy("qwen3");
    let engine = Engine::open(&ModelReference::File(folder.path().to_owned())).unwrap();
    let own = folder.path().join(WEIGHTS[1]);
    let before = fs::read(&own).unwrap();
    let said = engine.export(&recipe(), &own).unwrap_err().to_string();
    assert!(said.contains("is not written over"), "{said}");
    assert_eq!(fs::read(&own).unwrap(), before);
    // Beside another model's configuration.
    let other = copy("llama");
    let path = other.path().join("mine.safetensors");
    let said = engine.export(&recipe(), &path).unwrap_err().to_string();
    assert!(said.contains("config.json of another model"), "{said}");
    assert!(!path.exists());
    // Beside its own it is another file of the same folder.
    let beside = folder.path().join("mine.safetensors");
    engine.export(&recipe(), &beside).unwrap();
    assert_eq!(opened(&beside).architecture, engine.model().architecture);
}
