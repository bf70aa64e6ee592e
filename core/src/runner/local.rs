//! The library that runs networks, and running it within this process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rten::{Model, ModelOptions, Value, ValueOrView};
use rten_tensor::{AsView as _, Layout as _, Tensor};

use super::protocol::{Reply, Request};
use super::{Array, Network, Numbers, Runner, failed};
use crate::error::{Error, Result};
use crate::formats;

/// A network held by the library.
#[derive(Default)]
pub(super) struct Local {
    loaded: Option<Loaded>,
}

/// A network that runs in a thread of this process: the library's own values stay in one.
pub(super) struct Within {
    requests: Sender<Request>,
    replies: Receiver<Reply>,
}

impl Within {
    pub(super) fn start() -> Result<Self> {
        let (requests, asked) = channel::<Request>();
        let (answer, replies) = channel();
        thread::Builder::new()
            .name("wattif-runner".to_owned())
            .spawn(move || {
                let mut local = Local::default();
                for request in asked {
                    if answer.send(local.answer(request)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| failed(format!("the system gives no thread ({error})")))?;
        Ok(Self { requests, replies })
    }

    fn ask(&self, request: Request) -> Result<Vec<Array>> {
        let ended = || failed("the thread that runs networks ended");
        self.requests.send(request).map_err(|_| ended())?;
        let reply = self.replies.recv().map_err(|_| ended())?;
        reply.map_err(Error::Compute)
    }
}

impl Runner for Within {
    fn load(&mut self, network: &Network) -> Result<()> {
        self.ask(Request::Load(network.clone())).map(drop)
    }

    fn replace(&mut self, new: Vec<(usize, Vec<u8>)>) -> Result<()> {
        self.ask(Request::Replace(new)).map(drop)
    }

    fn run(&mut self, inputs: &[Array], outputs: &[String]) -> Result<Vec<Array>> {
        self.ask(Request::Run(inputs.to_vec(), outputs.to_vec()))
    }
}

struct Loaded {
    graph: Vec<u8>,
    options: ModelOptions,
    model: Model,
}

impl Local {
    /// Answers a request.
    pub(super) fn answer(&mut self, request: Request) -> Reply {
        let reply = match request {
            Request::Load(network) => self.load(&network).map(|()| Vec::new()),
            Request::Replace(new) => self.replace(new).map(|()| Vec::new()),
            Request::Run(inputs, outputs) => self.run(&inputs, &outputs),
        };
        reply.map_err(|error| match error {
            Error::Compute(fact) => fact,
            other => other.to_string(),
        })
    }

    fn load(&mut self, network: &Network) -> Result<()> {
        self.loaded = None;
        let mut options = ModelOptions::with_all_ops();
        options.enable_optimization(network.optimised);
        for (place, buffer) in network.buffers.iter().enumerate() {
            options.external_data(&name(place), buffer.to_vec());
        }
        let graph = network.graph.to_vec();
        let model = model(&options, &graph)?;
        self.loaded = Some(Loaded {
            graph,
            options,
            model,
        });
        Ok(())
    }

    fn replace(&mut self, new: Vec<(usize, Vec<u8>)>) -> Result<()> {
        let Some(loaded) = &mut self.loaded else {
            return Err(failed("no network is loaded"));
        };
        for (place, buffer) in new {
            loaded.options.external_data(&name(place), buffer);
        }
        loaded.model = model(&loaded.options, &loaded.graph)?;
        Ok(())
    }

    fn run(&mut self, inputs: &[Array], outputs: &[String]) -> Result<Vec<Array>> {
        let Some(Loaded { model, .. }) = &self.loaded else {
            return Err(failed("no network is loaded"));
        };
        let id = |name: &str| {
            model
                .node_id(name)
                .map_err(|_| failed(format!("there is no value '{name}'")))
        };
        let mut given = Vec::with_capacity(inputs.len());
        for input in inputs {
            let elements: usize = input.shape.iter().product();
            if elements != input.numbers.len() {
                return Err(failed(format!("'{}' has another length", input.name)));
            }
            given.push((id(&input.name)?, value(input)));
        }
        let wanted = outputs.iter().map(|name| id(name));
        let wanted: Vec<_> = wanted.collect::<Result<_>>()?;
        let run = || model.run(given, &wanted, None);
        let results = caught(run)?.map_err(|error| failed(error.to_string()))?;
        let results = outputs.iter().zip(results);
        results.map(|(name, value)| array(name, &value)).collect()
    }
}

fn name(place: usize) -> String {
    formats::buffer_name(place)
}

fn model(options: &ModelOptions, graph: &[u8]) -> Result<Model> {
    let load = || options.load(graph.to_vec());
    caught(load)?.map_err(|error| failed(error.to_string()))
}

/// What a panic of the library says is an error.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        failed(format!(
            "the library that runs it panicked: {}",
            text.unwrap_or("without a word")
        ))
    })
}

fn value(input: &Array) -> ValueOrView<'static> {
    fn tensor<T: Clone>(shape: &[usize], numbers: &[T]) -> Tensor<T> {
        Tensor::from_data(shape, numbers.to_vec())
    }
    let shape = &input.shape;
    let value: Value = match &input.numbers {
        Numbers::Float(numbers) => tensor(shape, numbers).into(),
        Numbers::Int(numbers) => tensor(shape, numbers).into(),
        Numbers::Signed(numbers) => tensor(shape, numbers).into(),
        Numbers::Byte(numbers) => tensor(shape, numbers).into(),
    };
    value.into()
}

fn array(name: &str, value: &Value) -> Result<Array> {
    fn shape<T>(tensor: &Tensor<T>) -> Vec<usize> {
        tensor.shape().to_vec()
    }
    let (shape, numbers) = match value {
        Value::FloatTensor(own) => (shape(own), Numbers::Float(own.to_vec())),
        Value::Int32Tensor(own) => (shape(own), Numbers::Int(own.to_vec())),
        Value::Int8Tensor(own) => (shape(own), Numbers::Signed(own.to_vec())),
        Value::UInt8Tensor(own) => (shape(own), Numbers::Byte(own.to_vec())),
        _ => {
            return Err(failed(format!("output '{name}' is a list of tensors")));
        }
    };
    Ok(Array {
        name: name.to_owned(),
        shape,
        numbers,
    })
}
