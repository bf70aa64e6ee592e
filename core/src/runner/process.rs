//! Running in a process of its own.

use std::io::{BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use super::local::Local;
use super::protocol::{Reply, Request, read_reply, write_reply};
use super::{Array, Limits, Network, Runner, failed};
use crate::error::{Error, Result};

/// The argument that starts the program as a runner of networks.
pub const ARGUMENT: &str = "__network-runner";

/// A process that runs networks; started when it is first needed, and again after it stopped.
pub(super) struct Process {
    program: PathBuf,
    limits: Limits,
    running: Option<Running>,
    /// What a new process is given.
    network: Option<Network>,
}

struct Running {
    child: Child,
    to: BufWriter<ChildStdin>,
    replies: Receiver<std::io::Result<Reply>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have stopped by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    pub(super) const fn new(program: PathBuf, limits: Limits) -> Self {
        Self {
            program,
            limits,
            running: None,
            network: None,
        }
    }

    fn begin(&self) -> Result<Running> {
        let no_process = |error: std::io::Error| {
            failed(format!(
                "the process that runs networks did not start: {error}"
            ))
        };
        let mut child = Command::new(&self.program)
            .arg(ARGUMENT)
            .arg(self.limits.memory.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(no_process)?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("the process that runs networks has no pipes"));
        };
        let (sender, replies) = channel();
        thread::Builder::new()
            .name("wattif-runner".to_owned())
            .spawn(move || {
                let mut from = BufReader::with_capacity(1 << 16, from);
                loop {
                    let reply = read_reply(&mut from);
                    let ended = reply.is_err();
                    if sender.send(reply).is_err() || ended {
                        return;
                    }
                }
            })
            .map_err(no_process)?;
        Ok(Running {
            child,
            to: BufWriter::with_capacity(1 << 16, to),
            replies,
        })
    }

    fn ask(&mut self, request: &Request) -> Result<Vec<Array>> {
        let Some(running) = &mut self.running else {
            return Err(failed("no network is loaded"));
        };
        let sent = request.write(&mut running.to);
        let reply = match sent {
            Ok(()) => running.replies.recv_timeout(self.limits.time),
            // Why it does not listen is known when it has ended.
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        match reply {
            Ok(Ok(reply)) => reply.map_err(Error::Compute),
            Err(RecvTimeoutError::Timeout) => {
                self.running = None;
                Err(failed(format!(
                    "the network ran for longer than {} s and was stopped",
                    self.limits.time.as_secs()
                )))
            }
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => {
                // It may live and wait where its answer could not be read.
                let _ = running.child.kill();
                let status = running.child.wait();
                self.running = None;
                let status = status.map_or_else(|error| error.to_string(), |own| own.to_string());
                Err(failed(format!(
                    "the process that ran the network ended ({status}): it crashed, or needed more than {:.1} GB of memory",
                    self.limits.memory as f64 / 1e9
                )))
            }
        }
    }

    /// Starts it again with the original network where it has stopped.
    fn revive(&mut self) -> Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let Some(network) = self.network.clone() else {
            return Err(failed("no network is loaded"));
        };
        self.running = Some(self.begin()?);
        self.ask(&Request::Load(network)).map(drop)
    }
}

impl Runner for Process {
    fn load(&mut self, network: &Network) -> Result<()> {
        // What is not loaded is not loaded again either.
        self.network = None;
        if self.running.is_none() {
            self.running = Some(self.begin()?);
        }
        self.ask(&Request::Load(network.clone()))?;
        self.network = Some(network.clone());
        Ok(())
    }

    fn replace(&mut self, new: Vec<(usize, Vec<u8>)>) -> Result<()> {
        self.revive()?;
        self.ask(&Request::Replace(new)).map(drop)
    }

    fn run(&mut self, inputs: &[Array], outputs: &[String]) -> Result<Vec<Array>> {
        // What stopped has forgotten which weights it had.
        self.ask(&Request::Run(inputs.to_vec(), outputs.to_vec()))
    }
}

/// Answers on standard output what is asked on standard input, with at most so many bytes of memory, until the input ends.
/// The whole work of a process that is started with [`ARGUMENT`].
pub fn serve(memory: u64) {
    limit(memory);
    end_with_parent();
    answer(std::io::stdin().lock(), std::io::stdout().lock());
}

/// Ends this process soon after the program that started it, also while a network runs that never ends.
fn end_with_parent() {
    #[cfg(unix)]
    {
        use rustix::process::getppid;
        let parent = getppid();
        let watch = thread::Builder::new().name("wattif-parent".to_owned());
        // Without the thread it ends when its input does.
        let _ = watch.spawn(move || {
            while getppid() == parent {
                thread::park_timeout(std::time::Duration::from_secs(1));
            }
            std::process::exit(0);
        });
    }
}

fn answer(from: impl Read, to: impl Write) {
    let (mut from, mut to) = (
        BufReader::with_capacity(1 << 16, from),
        BufWriter::with_capacity(1 << 16, to),
    );
    let mut runner = Local::default();
    while let Ok(request) = Request::read(&mut from) {
        let reply = runner.answer(request);
        if write_reply(&mut to, &reply).is_err() {
            return;
        }
    }
}

/// Limits the memory of this process, where the system can, and lets others go first.
fn limit(memory: u64) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let limit = Rlimit {
            current: Some(memory),
            maximum: Some(memory),
        };
        // A system that refuses leaves it without a limit.
        let _ = setrlimit(Resource::As, limit);
    }
    #[cfg(not(unix))]
    let _ = memory;
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 10);
}
