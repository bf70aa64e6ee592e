//! What everything from outside must pass before it is a model or a student, whatever its door: weights, packed weights,
//! students in the cache folder, and what ships with the program.

use candle_core::DType;

use super::{Architecture, Tensors};
use crate::recipe::Recipe;

/// Checks an architecture, the tensors that belong to it, their values, and the recipe that they went through, if any.
///
/// # Errors
/// The first fact that keeps it from being run, without a path.
pub(crate) fn admit(
    architecture: &Architecture,
    tensors: &Tensors,
    recipe: Option<&Recipe>,
) -> Result<(), String> {
    if let Some(fact) = architecture.implausible() {
        return Err(format!("the architecture in the metadata has {fact}"));
    }
    if let Some(fact) = architecture.mismatch(tensors) {
        return Err(fact);
    }
    check_values(tensors)?;
    match recipe {
        Some(recipe) => check_recipe(recipe),
        None => Ok(()),
    }
}

/// Checks the recipe in a file.
///
/// # Errors
/// What is out of range.
pub(crate) fn check_recipe(recipe: &Recipe) -> Result<(), String> {
    recipe
        .validate()
        .map_err(|error| format!("the recipe in the metadata is impossible: {error}"))
}

/// Checks that every value of every tensor is a number that its place allows.
///
/// # Errors
/// The first tensor with values that are not, and how many.
pub(crate) fn check_values(tensors: &Tensors) -> Result<(), String> {
    for (name, tensor) in tensors {
        if tensor.dtype() != DType::F32 {
            return Err(format!("tensor '{name}' is no tensor of single precision"));
        }
        let values = tensor
            .flatten_all()
            .and_then(|flat| flat.to_vec1::<f32>())
            .map_err(|error| format!("tensor '{name}' cannot be read ({error})"))?;
        let count = |wrong: fn(&f32) -> bool| values.iter().filter(|value| wrong(value)).count();
        let n = count(|value| !value.is_finite());
        if n > 0 {
            return Err(format!(
                "tensor '{name}' has {n} of {} values that are not finite (NaN or infinite)",
                values.len()
            ));
        }
        let n = count(|value| *value < 0.0);
        if n > 0 && name.ends_with("running_var") {
            return Err(format!(
                "tensor '{name}' has {n} of {} values below zero, which no variance is",
                values.len()
            ));
        }
    }
    Ok(())
}
