//! Functions that a file defines, written out where they are called.

use std::collections::HashMap;

use super::message::{Item, Message};
use super::tensor::shown;
use super::wire::Result;

/// Functions inside each other.
const DEEPEST: usize = 32;
/// The most nodes that calls are written out to.
const MOST_NODES: usize = 200_000;

struct Functions<'a> {
    file: &'a [u8],
    /// By domain and name.
    all: HashMap<(String, String), Message>,
    nodes: usize,
    calls: usize,
}

/// The same graph with the bodies of functions in the place of their calls.
///
/// # Errors
/// They stand inside each other without an end.
pub(super) fn functions(graph: Message, model: &Message, file: &[u8]) -> Result<Message> {
    let mut all = HashMap::new();
    for item in model.all(25) {
        let function = Message::of(item, file)?;
        all.insert((function.text(10, file), function.text(1, file)), function);
    }
    if all.is_empty() {
        return Ok(graph);
    }
    let mut functions = Functions {
        file,
        all,
        nodes: 0,
        calls: 0,
    };
    functions.graph(&graph, 0)
}

/// Names of values in a body by what they are called around it.
type Names = HashMap<String, String>;
/// Attributes of a call by name.
type Bound = HashMap<String, Message>;

impl Functions<'_> {
    fn graph(&mut self, graph: &Message, depth: usize) -> Result<Message> {
        let mut written = Message::default();
        for (number, item) in &graph.fields {
            if *number == 1 {
                let node = Message::of(item, self.file)?;
                self.node(&node, item, &mut written, depth)?;
            } else {
                written.fields.push((*number, item.clone()));
            }
        }
        Ok(written)
    }

    fn node(
        &mut self,
        node: &Message,
        item: &Item,
        graph: &mut Message,
        depth: usize,
    ) -> Result<()> {
        let file = self.file;
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err("its functions are too large to be written out".to_owned());
        }
        let key = (node.text(7, file), node.text(4, file));
        let Some(function) = self.all.get(&key).cloned() else {
            // Graphs inside nodes may call functions too.
            let has_graphs = |item: &Item| {
                Message::of(item, file).is_ok_and(|own| own.last(6).or(own.last(11)).is_some())
            };
            if !node.all(5).any(has_graphs) {
                graph.fields.push((1, item.clone()));
                return Ok(());
            }
            let written = self.inside(node, depth)?;
            graph.push_message(1, &written, file);
            return Ok(());
        };
        if depth >= DEEPEST {
            return Err(format!(
                "functions stand inside each other more than {DEEPEST} times"
            ));
        }
        self.calls += 1;
        let prefix = format!("{}#{}", key.1, self.calls);
        let mut names = Names::new();
        for (number, given) in [(4, 1), (5, 2)] {
            let mut outer = node.all(given);
            for inner in function.all(number) {
                let inner = text(inner, file);
                let outer = outer.next().map(|name| text(name, file));
                let left_out = outer.as_ref().is_none_or(String::is_empty);
                match (outer, given) {
                    (Some(outer), _) if !left_out => names.insert(inner, outer),
                    (_, 1) => names.insert(inner, String::new()),
                    _ => None,
                };
            }
        }
        let mut bound = Bound::new();
        for item in function.all(11).chain(node.all(5)) {
            let attribute = Message::of(item, file)?;
            bound.insert(attribute.text(1, file), attribute);
        }
        for item in function.all(7) {
            let body = Message::of(item, file)?;
            let body = renamed(&body, &names, &bound, &prefix, file)?;
            let item = Item::New(body.write(file));
            self.node(&body, &item, graph, depth + 1)?;
        }
        Ok(())
    }

    /// A node with the graphs inside it written out.
    fn inside(&mut self, node: &Message, depth: usize) -> Result<Message> {
        let file = self.file;
        let mut written = Message::default();
        for (number, item) in &node.fields {
            if *number != 5 {
                written.fields.push((*number, item.clone()));
                continue;
            }
            let mut attribute = Message::default();
            for (number, item) in &Message::of(item, file)?.fields {
                if matches!(number, 6 | 11) {
                    let graph = self.graph(&Message::of(item, file)?, depth)?;
                    attribute.push_message(*number, &graph, file);
                } else {
                    attribute.fields.push((*number, item.clone()));
                }
            }
            written.push_message(5, &attribute, file);
        }
        Ok(written)
    }
}

fn text(item: &Item, file: &[u8]) -> String {
    String::from_utf8_lossy(item.bytes(file)).into_owned()
}

/// A name in a body as it is called around it; of its own values, one that nothing else has.
fn outer(name: &str, names: &Names, prefix: &str) -> String {
    match names.get(name) {
        Some(known) => known.clone(),
        None if name.is_empty() => String::new(),
        None => format!("{prefix}/{name}"),
    }
}

/// A node of a body in the place of its call.
fn renamed(
    node: &Message,
    names: &Names,
    bound: &Bound,
    prefix: &str,
    file: &[u8],
) -> Result<Message> {
    let mut written = Message::default();
    for (number, item) in &node.fields {
        match number {
            1 | 2 => written.push_text(*number, &outer(&text(item, file), names, prefix)),
            3 => written.push_text(3, &format!("{prefix}/{}", text(item, file))),
            5 => {
                let attribute = Message::of(item, file)?;
                let of_caller = attribute.text(21, file);
                if of_caller.is_empty() {
                    let attribute = with_graphs(&attribute, names, bound, prefix, file)?;
                    written.push_message(5, &attribute, file);
                } else if let Some(value) = bound.get(&of_caller) {
                    let mut value = value.clone();
                    value.fields.retain(|(own, _)| *own != 1);
                    value.push_text(1, &attribute.text(1, file));
                    written.push_message(5, &value, file);
                }
            }
            _ => written.fields.push((*number, item.clone())),
        }
    }
    Ok(written)
}

/// An attribute whose graphs have the names of what is around the call.
fn with_graphs(
    attribute: &Message,
    names: &Names,
    bound: &Bound,
    prefix: &str,
    file: &[u8],
) -> Result<Message> {
    let mut written = Message::default();
    for (number, item) in &attribute.fields {
        if !matches!(number, 6 | 11) {
            written.fields.push((*number, item.clone()));
            continue;
        }
        let graph = Message::of(item, file)?;
        let mut inner = Message::default();
        for (number, item) in &graph.fields {
            match number {
                1 => {
                    let node = Message::of(item, file)?;
                    inner.push_message(1, &renamed(&node, names, bound, prefix, file)?, file);
                }
                11 | 12 => {
                    let info = with_name(item, 1, names, prefix, file)?;
                    inner.push_message(*number, &info, file);
                }
                5 => inner.push_message(5, &with_name(item, 8, names, prefix, file)?, file),
                _ => inner.fields.push((*number, item.clone())),
            }
        }
        written.push_message(*number, &inner, file);
    }
    Ok(written)
}

fn with_name(
    item: &Item,
    number: u64,
    names: &Names,
    prefix: &str,
    file: &[u8],
) -> Result<Message> {
    let mut message = Message::of(item, file)?;
    let name = message.text(number, file);
    if name.is_empty() {
        return Err(format!("'{}' holds a value without a name", shown(prefix)));
    }
    message.fields.retain(|(own, _)| *own != number);
    message.push_text(number, &outer(&name, names, prefix));
    Ok(message)
}
