//! Graphs inside nodes: branches and loops.

use super::call::Call;
use super::evaluate::{Evaluation, label};
use super::tensor::{DataType, shown};
use super::value::{Value, axis};
use super::wire::Result;
use super::work::Work;

/// Rounds up to which a stated number of rounds is believed; programs write the largest number where they mean none.
const MOST_ROUNDS: f64 = 1e6;

type Values = Vec<Option<Value>>;

/// What a round does not know of a value that it gets from the one before.
fn carried(value: Option<Value>) -> Value {
    let value = value.unwrap_or_default();
    Value {
        values: None,
        made_of: None,
        ..value
    }
}

impl<'a> Evaluation<'a> {
    /// One of two branches. Where the condition is not known, that with more work counts, and the other's weights are
    /// stored all the same.
    pub(super) fn choice(&mut self, call: &Call<'_, 'a>) -> Result<Values> {
        let (Some(yes), Some(no)) = (call.graph("then_branch"), call.graph("else_branch")) else {
            return Err(format!(
                "'{}' (If) has no branches",
                shown(label(call.node))
            ));
        };
        let condition = call.find(0).and_then(|value| value.values.clone());
        if let Some([condition]) = condition.as_deref() {
            let taken = if *condition == 0.0 { no } else { yes };
            return self.graph(taken, Vec::new());
        }
        let start = self.works.len();
        let before = self.uncounted;
        let one = self.graph(yes, Vec::new())?;
        let middle = self.works.len();
        let between = self.uncounted;
        let other = self.graph(no, Vec::new())?;
        let macs = |works: &[Work]| works.iter().map(|work| work.macs).sum::<f64>();
        let first = macs(&self.works[start..middle]) >= macs(&self.works[middle..]);
        let left = if first {
            middle..self.works.len()
        } else {
            start..middle
        };
        for work in &mut self.works[left] {
            work.runs = false;
        }
        // What is left out of the branch that does not run is no loss, unless it could be that with more work.
        let left_out = if first {
            self.uncounted - between
        } else {
            between - before
        };
        if left_out > 0 {
            self.note(
                "a lower bound: a branch (If) whose work is not all known could be that with more"
                    .to_owned(),
            );
        }
        if self.works.len() > start {
            self.note(
                "where a condition is not known (If), the branch with more work is counted; the weights of the other are stored"
                    .to_owned(),
            );
        }
        let (taken, left) = if first { (one, other) } else { (other, one) };
        // What only one branch knows is not known after both.
        let both = taken.into_iter().zip(left).map(|(taken, left)| {
            let (mut value, left) = (taken?, left?);
            let same = value.values == left.values;
            if !same {
                value.values = None;
            }
            if !same || !left.is_constant() {
                value.made_of = None;
            }
            Some(value)
        });
        Ok(both.collect())
    }

    /// A body that runs again and again.
    pub(super) fn repeated(&mut self, call: &Call<'_, 'a>) -> Result<Values> {
        let Some(body) = call.graph("body") else {
            return Err(format!("'{}' (Loop) has no body", shown(label(call.node))));
        };
        let most = call.find(0).and_then(|value| value.values.clone());
        let begins = call.find(1).map(|value| value.values.clone());
        let rounds = match (most.as_deref(), &begins) {
            // It does not begin.
            (_, Some(Some(begins))) if **begins == [0.0] => Some(0.0),
            (Some([rounds]), _) if (0.0..MOST_ROUNDS).contains(rounds) => Some(*rounds),
            _ => None,
        };
        let surely = match &begins {
            None => true,
            Some(values) => values.as_deref() == Some(&[1.0]),
        };
        let states: Vec<Value> = call.inputs.iter().skip(2).cloned().map(carried).collect();
        let mut inputs = vec![
            Value::new(DataType::INT64, Vec::new()),
            Value::new(DataType::BOOL, Vec::new()),
        ];
        inputs.extend(states.iter().cloned());
        let start = self.works.len();
        let mut outputs = self.graph(body, inputs)?.into_iter();
        let ends = outputs.next().flatten().and_then(|value| value.values);
        let name = shown(label(call.node));
        match rounds {
            None => self.note(format!(
                "a lower bound: how often '{name}' (Loop) runs only a run tells, and one round is counted"
            )),
            Some(rounds) if !surely || !ends.as_deref().is_some_and(|ends| ends == [1.0]) => self.note(
                format!("'{name}' (Loop) may end before its {rounds} rounds, which are counted"),
            ),
            Some(_) => {}
        }
        self.times(start, rounds.unwrap_or(1.0));
        let mut all = Vec::new();
        for state in states {
            let own = carried(outputs.next().flatten());
            if own.shape != state.shape {
                self.note(format!(
                    "a lower bound: what '{name}' (Loop) hands from round to round changes its shape, and every round is counted as the first"
                ));
                all.push(Some(Value::unknown(own.data_type)));
            } else {
                all.push(Some(own));
            }
        }
        all.extend(outputs.map(|value| Some(stacked(value, rounds, 0))));
        Ok(all)
    }

    /// A body that runs for every slice of its inputs.
    pub(super) fn scanned(&mut self, call: &Call<'_, 'a>) -> Result<Values> {
        let name = shown(label(call.node));
        let count = usize::try_from(call.int("num_scan_inputs", 0)).unwrap_or(usize::MAX);
        let (Some(body), Some(states)) = (call.graph("body"), call.inputs.len().checked_sub(count))
        else {
            return Err(format!("'{name}' (Scan) has no body or too few inputs"));
        };
        let mut inputs: Vec<Value> = call.inputs[..states].iter().cloned().map(carried).collect();
        let axes = call.ints("scan_input_axes").unwrap_or_default();
        let mut rounds = None;
        for (i, value) in call.inputs[states..].iter().enumerate() {
            let mut value = carried(value.clone());
            if let Some(shape) = &mut value.shape
                && let Some(along) = axis(axes.get(i).copied().unwrap_or(0), shape.len())
            {
                rounds = rounds.or(Some(shape.remove(along) as f64));
            } else {
                value.shape = None;
            }
            inputs.push(value);
        }
        let start = self.works.len();
        let mut outputs = self.graph(body, inputs)?.into_iter();
        if rounds.is_none() {
            self.note(format!(
                "a lower bound: how often '{name}' (Scan) runs only a run tells, and one round is counted"
            ));
        }
        self.times(start, rounds.unwrap_or(1.0));
        let mut all: Values = outputs
            .by_ref()
            .take(states)
            .map(|own| Some(carried(own)))
            .collect();
        let axes = call.ints("scan_output_axes").unwrap_or_default();
        for (i, value) in outputs.enumerate() {
            all.push(Some(stacked(
                value,
                rounds,
                axes.get(i).copied().unwrap_or(0),
            )));
        }
        Ok(all)
    }

    /// The work since `start` is done so many times.
    fn times(&mut self, start: usize, rounds: f64) {
        for work in &mut self.works[start..] {
            work.macs *= rounds;
            work.inputs *= rounds;
            work.outputs *= rounds;
            work.added *= rounds;
            work.rounds *= rounds;
        }
    }
}

/// The results of all rounds along a new axis.
fn stacked(value: Option<Value>, rounds: Option<f64>, along: i64) -> Value {
    let value = carried(value);
    let (Some(mut shape), Some(rounds)) = (value.shape, rounds) else {
        return Value::unknown(value.data_type);
    };
    let Some(place) = axis(along, shape.len() + 1) else {
        return Value::unknown(value.data_type);
    };
    shape.insert(place, rounds as u64);
    Value::new(value.data_type, shape)
}
