//! Which tensors of a pickle are the weights: checkpoints keep those of optimisers, averages and other networks beside
//! them.

use std::collections::HashSet;

use super::pickle::{Id, Read, Tensor, Value};

/// How deep dictionaries lie in each other.
const DEEPEST: usize = 24;
/// Most characters of a name of a tensor.
const LONGEST_NAME: usize = 1 << 12;
/// Most characters of all names, and most tensors of all groups.
const MOST_TEXT: usize = 64 << 20;
const MOST_TENSORS: usize = 1 << 20;
/// Groups that are named where there are several.
const NAMED: usize = 6;

/// Tensors of one dictionary, or of one object of TorchScript with its parts.
#[derive(Debug)]
pub(super) struct Group {
    /// The keys that lead to it.
    pub(super) path: String,
    pub(super) tensors: Vec<(String, Tensor)>,
}

/// The weights, and what was left out, in sentences.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) group: Group,
    pub(super) notes: Vec<String>,
}

/// The only group with weights.
///
/// # Errors
/// There is none, or there are several.
pub(super) fn chosen(read: &Read) -> Result<Chosen, String> {
    let mut walk = Walk {
        read,
        seen: HashSet::new(),
        text: 0,
        tensors: 0,
    };
    let groups = walk.collect()?;
    let (idle, mut groups): (Vec<Group>, Vec<Group>) =
        groups.into_iter().partition(|group| is_state(&group.path));
    let count = |groups: &[Group]| -> usize { groups.iter().map(|own| own.tensors.len()).sum() };
    let all = count(&groups);
    // A number or a list beside a network is not one.
    if groups.iter().any(has_matrix) {
        groups.retain(has_matrix);
    }
    let lone = all - count(&groups);
    let notes = [
        (count(&idle), "of the optimiser's state in the file"),
        (lone, "without a matrix beside the network"),
    ];
    let notes = notes.into_iter().filter(|(count, _)| *count > 0);
    let notes = notes.map(|(count, what)| match count {
        1 => format!("1 tensor {what} is left out"),
        _ => format!("{count} tensors {what} are left out"),
    });
    let notes: Vec<String> = notes.collect();
    let names: Vec<String> = groups
        .iter()
        .take(NAMED)
        .map(|group| format!("'{}'", group.path.escape_debug()))
        .collect();
    match (groups.pop(), groups.len()) {
        (Some(group), 0) => Ok(Chosen { group, notes }),
        (Some(_), others) => Err(format!(
            "the file holds {} sets of weights ({}); save one of them alone",
            others + 1,
            names.join(", ")
        )),
        (None, _) if !idle.is_empty() => {
            Err("the file holds the state of an optimiser and no weights".to_owned())
        }
        (None, _) => Err("the file holds no tensors".to_owned()),
    }
}

/// Whether keys lead to what training keeps beside weights.
fn is_state(path: &str) -> bool {
    const WORDS: [&str; 12] = [
        "optimizer",
        "optimizers",
        "optimiser",
        "optimisers",
        "optim",
        "opt",
        "scheduler",
        "schedulers",
        "scaler",
        "scalers",
        "amp",
        "rng",
    ];
    // "lr_scheduler" is one, "optimized_model" is none.
    let mut words = path.split(['.', '_']);
    words.any(|word| WORDS.contains(&word.to_ascii_lowercase().as_str()))
}

fn has_matrix(group: &Group) -> bool {
    group
        .tensors
        .iter()
        .any(|(_, tensor)| tensor.shape.len() >= 2)
}

/// A walk through the containers of a pickle, each of which is looked into once.
struct Walk<'a> {
    read: &'a Read,
    seen: HashSet<Id>,
    /// Characters of the names so far, and tensors.
    text: usize,
    tensors: usize,
}

impl Walk<'_> {
    /// All groups of tensors.
    fn collect(&mut self) -> Result<Vec<Group>, String> {
        let read = self.read;
        let mut groups = Vec::new();
        let mut open: Vec<(Id, String, usize)> = vec![(read.root, String::new(), 0)];
        while let Some((id, path, depth)) = open.pop() {
            if !self.seen.insert(id) || depth > DEEPEST {
                continue;
            }
            let mut tensors = Vec::new();
            match read.get(id) {
                Value::Object(_) => self.of_object(id, &mut tensors)?,
                Value::Tensor(tensor) => tensors.push(("tensor".to_owned(), (**tensor).clone())),
                _ => {
                    let mut parts = Vec::new();
                    let items = items(read, id);
                    let has = |name: &str| items.iter().any(|(key, _)| key == name);
                    let below = match has("state") && has("param_groups") {
                        true => self.joined(&path, "optimizer")?,
                        false => path.clone(),
                    };
                    for (key, value) in items {
                        match read.get(value) {
                            Value::Tensor(tensor) => {
                                self.count()?;
                                tensors.push((self.joined("", &key)?, (**tensor).clone()));
                            }
                            Value::Dict(_)
                            | Value::List(_)
                            | Value::Tuple(_)
                            | Value::Object(_) => {
                                parts.push((value, self.joined(&below, &key)?, depth + 1));
                            }
                            _ => {}
                        }
                    }
                    open.extend(parts.into_iter().rev());
                }
            }
            if !tensors.is_empty() {
                groups.push(Group { path, tensors });
            }
        }
        Ok(groups)
    }

    /// The tensors of an object and its parts by the names that PyTorch gives them.
    fn of_object(&mut self, root: Id, tensors: &mut Vec<(String, Tensor)>) -> Result<(), String> {
        let read = self.read;
        let mut open = vec![(root, String::new(), 0)];
        while let Some((id, path, depth)) = open.pop() {
            let Value::Object(Some(state)) = read.get(id) else {
                continue;
            };
            let mut parts = Vec::new();
            for (key, value) in items(read, *state) {
                match read.get(value) {
                    Value::Tensor(tensor) => {
                        self.count()?;
                        tensors.push((self.joined(&path, &key)?, (**tensor).clone()));
                    }
                    Value::Object(_) if depth < DEEPEST && self.seen.insert(value) => {
                        parts.push((value, self.joined(&path, &key)?, depth + 1));
                    }
                    _ => {}
                }
            }
            open.extend(parts.into_iter().rev());
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), String> {
        self.tensors += 1;
        match self.tensors {
            ..=MOST_TENSORS => Ok(()),
            _ => Err(format!(
                "the pickle has more than {MOST_TENSORS} tensors, which are not read"
            )),
        }
    }

    fn joined(&mut self, path: &str, key: &str) -> Result<String, String> {
        let name = match path {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        self.text += name.len();
        if name.len() > LONGEST_NAME || self.text > MOST_TEXT {
            return Err("the keys of the pickle are longer than any that are read".to_owned());
        }
        Ok(name)
    }
}

/// The values of a container with their keys, or their numbers.
fn items(read: &Read, id: Id) -> Vec<(String, Id)> {
    match read.get(id) {
        Value::Dict(items) => {
            let named = items.iter().filter_map(|(key, value)| {
                let key = match read.get(*key) {
                    Value::Text(key) => key.chars().take(LONGEST_NAME).collect(),
                    Value::Int(key) => key.to_string(),
                    _ => return None,
                };
                Some((key, *value))
            });
            named.collect()
        }
        Value::List(items) | Value::Tuple(items) => items
            .iter()
            .enumerate()
            .map(|(number, value)| (number.to_string(), *value))
            .collect(),
        _ => Vec::new(),
    }
}
