//! [`Student`]: a trained smaller network and how it came to be.

use serde::{Deserialize, Serialize};

use crate::formats;
use crate::model::{Architecture, Model, Tensors};
use crate::recipe::{Distillation, Recipe};
use crate::unique;

/// How a student came to be; kept as JSON in the metadata of its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudentRecord {
    /// SHA-256 of the teacher's weights, as [`crate::model::tensors_hash`] gives it.
    pub teacher: String,
    /// Student parameters / teacher parameters that was asked for.
    pub ratio: f64,
    /// Softening temperature.
    pub temperature: f64,
    /// Seed of initialisation and batch order.
    pub seed: u64,
    /// How the network differs from its teacher: "narrower: 16-32 → 8-16 channels".
    pub description: String,
    /// Weight updates.
    pub steps: u64,
    /// Multiply-accumulates spent, teacher and student, forward and backward.
    pub macs: f64,
    /// Wall-clock time of the training in seconds, on the machine that did it.
    pub seconds: f64,
    /// What it was trained on: "60,000 Fashion-MNIST training images".
    pub data: String,
    /// Cores of the machine that did it; absent for students that came with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
}

impl StudentRecord {
    /// Key under which the record stands as JSON in the metadata of a safetensors file.
    pub const METADATA_KEY: &'static str = "wattif.student";
}

/// A finished student: its network, and how it came to be.
#[derive(Debug, Clone)]
pub struct Student {
    /// Shapes of the network.
    pub architecture: Architecture,
    /// Its weights.
    pub tensors: Tensors,
    /// How it came to be.
    pub record: StudentRecord,
}

/// Longest training that a record may state, in seconds: a hundred years of one machine.
pub(crate) const LONGEST: f64 = 3.2e9;
/// Most multiply-accumulates that a record may state: thirty years of a machine of 10²¹ a second.
pub(crate) const MOST_MACS: f64 = 1e30;
/// Most cores of a machine that a record may state.
const MOST_CORES: u32 = 1 << 20;

impl StudentRecord {
    /// What is wrong with a record that came from outside, if anything.
    fn implausible(&self) -> Option<String> {
        let recipe = Recipe {
            distillation: Distillation {
                ratio: self.ratio,
                temperature: self.temperature,
            },
            ..Recipe::default()
        };
        if let Err(error) = recipe.validate() {
            return Some(error.to_string());
        }
        for (what, value, most) in [
            ("seconds of training", self.seconds, LONGEST),
            ("multiply-accumulates of training", self.macs, MOST_MACS),
        ] {
            if !(0.0..=most).contains(&value) {
                return Some(format!(
                    "its record states {value} {what}; between 0 and {most:e} can be"
                ));
            }
        }
        let cores = self.cores.unwrap_or(1);
        (!(1..=MOST_CORES).contains(&cores))
            .then(|| format!("its record states {cores} cores; between 1 and {MOST_CORES} can be"))
    }
}

impl Student {
    /// Reads a student from the bytes of its file, by the checks of every model.
    ///
    /// # Errors
    /// What is wrong with them, without a path.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let contents = formats::parse(bytes)?;
        let key = StudentRecord::METADATA_KEY;
        let text = contents
            .metadata
            .get(key)
            .ok_or_else(|| format!("this is no student: its metadata have no '{key}'"))?;
        let record: StudentRecord = unique::json(text.as_bytes())
            .and_then(serde_json::from_value)
            .map_err(|error| format!("the record of its training is damaged ({error})"))?;
        match record.implausible() {
            Some(fact) => Err(fact),
            None => Ok(Self {
                architecture: contents.architecture,
                tensors: contents.tensors,
                record,
            }),
        }
    }

    /// What keeps it from standing in for a model at its ratio, if anything.
    pub(crate) fn unlike(&self, model: &Model) -> Option<String> {
        let record = &self.record;
        if record.teacher != model.hash {
            return Some("it was trained for a model of other weights".to_owned());
        }
        let (architecture, _) = model.architecture.student(record.ratio);
        (self.architecture != architecture).then(|| {
            format!(
                "its network is not the one that a ratio of {} asks for",
                record.ratio
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::bundled;

    const GOOD: &[u8] =
        include_bytes!("../../../../assets/models/tiny-gpt-student-010.safetensors");

    /// A student that ships with its architecture and its record changed.
    fn changed(change: impl FnOnce(&mut Value, &mut Value)) -> Result<Student, String> {
        let length = usize::try_from(u64::from_le_bytes(*GOOD.first_chunk().unwrap())).unwrap();
        let (header, data) = GOOD[8..].split_at(length);
        let mut header: Value = serde_json::from_slice(header).unwrap();
        let metadata = &mut header["__metadata__"];
        let read = |key: &str| serde_json::from_str(metadata[key].as_str().unwrap()).unwrap();
        let keys = [Architecture::METADATA_KEY, StudentRecord::METADATA_KEY];
        let [mut architecture, mut record]: [Value; 2] = keys.map(read);
        change(&mut architecture["gpt"], &mut record);
        for (key, value) in keys.into_iter().zip([architecture, record]) {
            metadata[key] = json!(value.to_string());
        }
        let header = header.to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(data);
        Student::parse(&file)
    }

    #[test]
    fn a_student_is_checked_like_a_model_and_its_record_like_a_recipe() {
        assert!(changed(|_, _| {}).is_ok());
        for (field, value, fact) in [
            ("heads", json!(0), "heads of 0"),
            ("heads", json!(1 << 20), "heads do not divide"),
            ("heads", json!(u64::MAX), "heads of 18446744073709551615"),
            ("blocks", json!(0), "0 blocks"),
            (
                "width",
                json!(-1),
                "the architecture in the metadata is damaged",
            ),
            ("hidden", json!(7), "expected [7, "),
        ] {
            let error = changed(|gpt, _| gpt[field] = value.clone()).unwrap_err();
            assert!(error.contains(fact), "{field} {value}: {error}");
        }
        for (field, value, fact) in [
            ("ratio", json!(-1.0), "the distillation ratio is -1"),
            ("ratio", json!(7), "the distillation ratio is 7"),
            ("temperature", json!(0), "the distillation temperature is 0"),
            ("seconds", json!(-1.0), "-1 seconds of training"),
            ("macs", json!(1e300), "multiply-accumulates of training"),
            ("cores", json!(0), "0 cores"),
            ("seed", json!("1"), "the record of its training is damaged"),
        ] {
            let error = changed(|_, record| record[field] = value.clone()).unwrap_err();
            assert!(error.contains(fact), "{field} {value}: {error}");
        }
    }

    #[test]
    fn a_student_of_another_model_or_another_ratio_does_not_stand_in() {
        let model = bundled::load("tiny-gpt").unwrap();
        let student = Student::parse(GOOD).unwrap();
        assert_eq!(student.unlike(&model), None);
        let mut other = student.clone();
        other.record.ratio = 0.5;
        let fact = other.unlike(&model).unwrap();
        assert_eq!(
            fact,
            "its network is not the one that a ratio of 0.5 asks for"
        );
        let mut other = student;
        other.record.teacher.clear();
        assert!(
            other
                .unlike(&model)
                .unwrap()
                .starts_with("it was trained for")
        );
    }
}
