//! Inputs of the user's for a network of an ONNX file: arrays by the names of its inputs.

use std::path::Path;

use crate::error::{Error, Result};
use crate::evaluate::{GeneratedSet, MOST_OWN};
use crate::formats::{Given, Passed};
use crate::model::OnnxConfig;
use crate::runner::{Array, Numbers};
use crate::weights::{self, Source};

/// What a network is measured on: the arrays of a file, whose first extent counts samples, and what stands for inputs that it
/// does not have.
///
/// # Errors
/// [`Error::File`] where an array does not fit its input, or none does.
pub(super) fn read(config: &OnnxConfig, path: &Path) -> Result<(GeneratedSet, String)> {
    let source = weights::open(path)?;
    let fact = |fact: String| Error::file(fact, path);
    let mut samples: Option<(usize, String)> = None;
    let mut columns = Vec::new();
    for given in config.asked().map_err(|own| fact(own.to_owned()))? {
        let Some(at) = source.find(&given.name) else {
            columns.push(None);
            continue;
        };
        let shape = &source.tensors()[at].shape;
        let (count, rest) = match shape.split_first() {
            Some((count, rest)) => (*count, rest),
            None => (0, &[][..]),
        };
        let whole = rest == given.shape;
        let part = given.shape.first() == Some(&1) && Some(rest) == given.shape.get(1..);
        if count == 0 || !(whole || part) {
            return Err(fact(format!(
                "array '{}' is {shape:?}; its input takes {:?} behind the number of samples; --axis sets a size that the network leaves open",
                given.name,
                given.shape.get(1..).unwrap_or_default()
            )));
        }
        match &samples {
            Some((known, name)) if *known != count => {
                return Err(fact(format!(
                    "array '{}' has {count} samples, and '{name}' {known}",
                    given.name
                )));
            }
            Some(_) => {}
            None => samples = Some((count, given.name.clone())),
        }
        columns.push(Some(at));
    }
    let Some((all, _)) = samples else {
        let names: Vec<&str> = source
            .tensors()
            .iter()
            .map(|own| own.name.as_str())
            .collect();
        return Err(fact(format!(
            "no array has the name of an input; it has {}",
            names.join(", ")
        )));
    };
    let taken = all.min(MOST_OWN);
    let mut own = Vec::with_capacity(taken);
    for sample in 0..taken {
        // Spread over all of them.
        let place = sample * all / taken;
        let inputs = config.asked().unwrap_or_default().iter().zip(&columns);
        let inputs = inputs.filter_map(|(given, at)| Some((given, (*at)?)));
        own.push(
            inputs
                .map(|(given, at)| array(source.as_ref(), at, place, given))
                .collect::<Result<Vec<_>>>()?,
        );
    }
    let said = format!("{taken} of {all} samples of {}", path.display());
    let set = GeneratedSet::new(
        config.asked().unwrap_or_default().to_vec(),
        config.outputs().to_vec(),
    );
    Ok((set.with(own).map_err(fact)?, said))
}

/// A sample of an array.
fn array(source: &dyn Source, at: usize, place: usize, given: &Given) -> Result<Array> {
    let count: usize = given.shape.iter().product();
    let mut values = vec![0.0_f32; count];
    source.decode(at, place..place + 1, &mut values)?;
    let whole = values.iter().map(|value| value.round());
    let numbers = match given.passed {
        Passed::Float => Numbers::Float(values),
        // What is out of range becomes the nearest.
        Passed::Int => Numbers::Int(whole.map(|value| value as i32).collect()),
        Passed::Signed => Numbers::Signed(whole.map(|value| value as i8).collect()),
        Passed::Byte => Numbers::Byte(whole.map(|value| value as u8).collect()),
    };
    Ok(Array {
        name: given.name.clone(),
        shape: given.shape.clone(),
        numbers,
    })
}
