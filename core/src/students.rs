//! [`Shelf`]: the finished students of a model, those that ship with it and those trained on this machine and kept on
//! disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use candle_core::Tensor;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::compress::distill::{Student, StudentRecord};
use crate::error::{Error, Result};
use crate::files;
use crate::folders;
use crate::model::{Architecture, Model, bundled};
use crate::recipe::Distillation;

/// Ending of the files.
const EXTENSION: &str = "safetensors";

impl Student {
    /// Whether this is the student that these settings ask for: the same ratio within half a step of the slider, and
    /// the same temperature and seed.
    pub fn answers(&self, wanted: &Distillation, seed: u64) -> bool {
        (self.record.ratio - wanted.ratio).abs() < 0.005
            && self.record.temperature == wanted.temperature
            && self.record.seed == seed
    }

    /// A text that no other student of the same teacher has.
    pub fn id(&self) -> String {
        let StudentRecord {
            ratio,
            temperature,
            seed,
            ..
        } = self.record;
        format!("r{ratio}t{temperature}s{seed}")
    }
}

/// The finished students of one model.
pub struct Shelf {
    folder: Option<PathBuf>,
    students: RwLock<Vec<Arc<Student>>>,
    broken: Vec<Error>,
}

impl Shelf {
    /// The shipped students of `model`, and those in the cache folder that were trained for exactly these weights.
    ///
    /// # Errors
    /// A shipped student is damaged. A file in the cache folder that cannot be used is left alone and out, see
    /// [`Self::broken`].
    pub fn open(model: &Model) -> Result<Self> {
        let mut students: Vec<Arc<Student>> = bundled::students(model)?
            .into_iter()
            .map(Arc::new)
            .collect();
        let mut broken = Vec::new();
        let folder = folders::cache().map(|cache| cache.join("students").join(&model.hash[..16]));
        let entries = folder
            .as_ref()
            .and_then(|folder| std::fs::read_dir(folder).ok());
        let mut paths: Vec<PathBuf> = entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == EXTENSION))
            .collect();
        paths.sort();
        for path in paths {
            match read(&path, model) {
                // Whichever is found first answers for its settings; measurements are kept by them.
                Ok(student) if students.iter().any(|known| known.id() == student.id()) => {}
                Ok(student) => students.push(Arc::new(student)),
                Err(error) => broken.push(error),
            }
        }
        Ok(Self {
            folder,
            students: RwLock::new(students),
            broken,
        })
    }

    /// The files in the cache folder that hold no student of this model, each with its reason.
    pub fn broken(&self) -> &[Error] {
        &self.broken
    }

    /// All finished students, in no particular order.
    pub fn students(&self) -> Vec<Arc<Student>> {
        self.students
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The student that these settings ask for, else the finished one of nearest ratio; `None` where the original
    /// (ratio 1) is nearer than any student.
    pub fn nearest(&self, wanted: &Distillation, seed: u64) -> Option<Arc<Student>> {
        let students = self.students();
        if let Some(exact) = students.iter().find(|s| s.answers(wanted, seed)) {
            return Some(Arc::clone(exact));
        }
        let distance = |ratio: f64| (ratio - wanted.ratio).abs();
        students
            .into_iter()
            .min_by(|a, b| distance(a.record.ratio).total_cmp(&distance(b.record.ratio)))
            .filter(|student| distance(student.record.ratio) <= distance(1.0))
    }

    /// Adds a student and writes it to the cache folder, so that it is there the next time.
    ///
    /// # Errors
    /// The file could not be written; the student is on the shelf all the same.
    pub fn add(&self, student: Student) -> Result<()> {
        let written = self.folder.as_ref().map(|folder| {
            let path = folder.join(format!("{}.{EXTENSION}", student.id()));
            std::fs::create_dir_all(folder)
                .map_err(|error| Error::file(error.to_string(), folder))?;
            write(&student, &path)
        });
        self.students
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::new(student));
        written.unwrap_or(Ok(()))
    }
}

/// Longest file of a student: no more numbers than its teacher has, of four bytes. As much again, and room for a small
/// model's header, for what is no parameter.
fn longest(teacher: &Model) -> u64 {
    const HEADER: u64 = 1 << 20;
    8 * teacher.architecture.parameters() + HEADER
}

fn read(path: &Path, model: &Model) -> Result<Student> {
    let bytes = files::read_bytes(path, longest(model))?;
    let student = Student::parse(&bytes).map_err(|fact| Error::file(fact, path))?;
    match student.unlike(model) {
        Some(fact) => Err(Error::file(fact, path)),
        None => Ok(student),
    }
}

/// Writes the file of a student.
fn write(student: &Student, path: &Path) -> Result<()> {
    let unwritable = |error: &dyn std::fmt::Display| Error::file(error.to_string(), path);
    let json = |error: serde_json::Error| unwritable(&error);
    let metadata = HashMap::from([
        (
            Architecture::METADATA_KEY.to_owned(),
            serde_json::to_string(&student.architecture).map_err(json)?,
        ),
        (
            StudentRecord::METADATA_KEY.to_owned(),
            serde_json::to_string(&student.record).map_err(json)?,
        ),
    ]);
    let bytes: Vec<(&String, &Tensor, Vec<u8>)> = student
        .tensors
        .iter()
        .map(|(name, tensor)| {
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            Ok((name, tensor, bytes))
        })
        .collect::<Result<_>>()?;
    let views: Vec<(&String, TensorView<'_>)> = bytes
        .iter()
        .map(|(name, tensor, bytes)| {
            TensorView::new(Dtype::F32, tensor.dims().to_vec(), bytes)
                .map(|view| (*name, view))
                .map_err(|error| unwritable(&error))
        })
        .collect::<Result<_>>()?;
    let bytes =
        safetensors::serialize(views, Some(metadata)).map_err(|error| unwritable(&error))?;
    files::replace_with(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_student_that_cannot_be_kept_is_on_the_shelf_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        // A file where a folder should be: as good as a full disk.
        let taken = folder.path().join("students");
        std::fs::write(&taken, "").unwrap();
        let model = bundled::load("tiny-gpt").unwrap();
        let shelf = Shelf {
            folder: Some(taken.join("here")),
            students: RwLock::default(),
            broken: Vec::new(),
        };
        let student = bundled::students(&model).unwrap().remove(0);
        let (wanted, seed) = (
            Distillation {
                ratio: student.record.ratio,
                temperature: student.record.temperature,
            },
            student.record.seed,
        );
        let error = shelf.add(student).unwrap_err().to_string();
        assert!(error.contains("students"), "{error}");
        let there = shelf.nearest(&wanted, seed).unwrap();
        assert!(there.answers(&wanted, seed));
    }
}
