//! Writing while the program is killed, while another program writes the same file, and on a full disk; and reading what
//! is no file. The real executable, on Linux, where the tools for it are.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test that called them"
)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use rand::{Rng as _, SeedableRng as _};
use wattif_core::preset::Preset;
use wattif_core::{compress, hardware};

const EXE: &str = env!("CARGO_BIN_EXE_wattif");

/// A command of the program that writes a file.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    /// Its arguments for the place and one of two contents.
    arguments: fn(&Path, bool) -> Vec<String>,
    /// Whether a file is one that it wrote, whole.
    is_whole: fn(&Path) -> bool,
}

fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "a preset",
        arguments: |path, other| {
            let bits = if other { "4" } else { "8" };
            let path = path.to_str().unwrap();
            strings([
                "report",
                "--model",
                "dense:7e9",
                "--weight-bits",
                bits,
                "--hardware",
                "nvidia-a100-sxm4-80gb",
                "--save",
                path,
            ])
        },
        is_whole: |path| Preset::load(path).is_ok(),
    },
    Kind {
        name: "a packed model",
        arguments: |path, other| {
            let bits = if other { "4" } else { "8" };
            let path = path.to_str().unwrap();
            strings([
                "export",
                "--model",
                "bundled:fashion-cnn",
                "--weight-bits",
                bits,
                "--output",
                path,
            ])
        },
        is_whole: |path| compress::unpack(path).is_ok(),
    },
    Kind {
        name: "constants",
        arguments: |path, _| {
            let table = path.with_file_name("rows.csv");
            let (path, table) = (path.to_str().unwrap(), table.to_str().unwrap());
            strings(["calibrate", "--against", table, "--output", path])
        },
        is_whole: |path| {
            std::fs::read_to_string(path).is_ok_and(|text| text.trim_end().ends_with(')'))
        },
    },
    Kind {
        name: "a device",
        // Its place is the configuration folder; the path is only its name.
        arguments: |path, _| {
            let id = path.file_stem().unwrap().to_str().unwrap();
            strings(["hardware", "clone", "nvidia-t4", id])
        },
        is_whole: |path| hardware::own::check(path).is_ok(),
    },
];

/// Where the four write, with the few rows that constants are fitted to.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("hardware")).unwrap();
        let shipped = include_str!("../assets/ground_truth/serving.csv");
        // A fit takes as long as its rows are many; these are of language models on one kind of device.
        let rows: Vec<&str> = shipped.lines().take(40).collect();
        std::fs::write(folder.path().join("rows.csv"), rows.join("\n")).unwrap();
        Self(folder)
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, kind: &Kind) -> PathBuf {
        match kind.name {
            "a device" => self.folder().join("hardware").join("copy.ron"),
            name => self.folder().join(name.replace(' ', "-")),
        }
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("WATTIF_CONFIG_DIR", self.folder())
            .env("WATTIF_CACHE_DIR", self.folder().join("cache"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, kind: &Kind, other: bool) -> Output {
        let arguments = (kind.arguments)(&self.file(kind), other);
        self.command(EXE).args(arguments).output().unwrap()
    }

    /// Drafts that lie about.
    fn leftovers(&self) -> Vec<PathBuf> {
        let folders = [self.folder().to_owned(), self.folder().join("hardware")];
        folders
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.'))
            .collect()
    }
}

fn succeed(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
}

#[test]
fn a_program_that_is_killed_loses_nothing_and_leaves_nothing() {
    /// Runs that are killed, over all kinds.
    const TRIALS: usize = 200;
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut killed = 0;
    let mut found = 0;
    for kind in &KINDS {
        let place = Place::new();
        let began = Instant::now();
        succeed(&place.run(kind, false));
        let whole = began.elapsed();
        let file = place.file(kind);
        let is_new = kind.name == "a device";
        for trial in 0..TRIALS / KINDS.len() {
            if is_new && file.exists() {
                std::fs::remove_file(&file).unwrap();
            }
            // Files are written at the end: most moments lie there.
            let share: f64 = if trial % 4 == 0 {
                random.random_range(0.0..1.0)
            } else {
                random.random_range(0.8..1.1)
            };
            let output = place
                .command("timeout")
                .args([
                    "-s",
                    "KILL",
                    &format!("{:.4}", whole.mul_f64(share).as_secs_f64()),
                ])
                .arg(EXE)
                .args((kind.arguments)(&file, trial % 2 == 0))
                .output()
                .unwrap();
            killed += usize::from(output.status.code() != Some(0));
            found += place.leftovers().len();
            let there = file.exists();
            assert!(there || is_new, "{} is gone", kind.name);
            assert!(!there || (kind.is_whole)(&file), "{} is damaged", kind.name);
        }
        if is_new && file.exists() {
            std::fs::remove_file(&file).unwrap();
        }
        succeed(&place.run(kind, true));
        assert_eq!(place.leftovers(), Vec::<PathBuf>::new(), "{}", kind.name);
    }
    eprintln!("{killed} of {TRIALS} runs were killed, {found} drafts seen on the way");
    assert!(
        killed > TRIALS / 4,
        "only {killed} of {TRIALS} runs were killed"
    );
}

#[test]
fn of_two_programs_that_write_a_file_one_wins_and_it_is_whole() {
    /// Rounds of two writers each.
    const ROUNDS: usize = 60;
    let place = Place::new();
    // Fits are slow and write as presets do.
    let kinds: Vec<&Kind> = KINDS
        .iter()
        .filter(|kind| kind.name != "constants")
        .collect();
    for round in 0..ROUNDS {
        let kind = kinds[round % kinds.len()];
        let file = place.file(kind);
        if file.exists() && kind.name == "a device" {
            std::fs::remove_file(&file).unwrap();
        }
        let writers = [false, true].map(|other| {
            place
                .command(EXE)
                .args((kind.arguments)(&file, other))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        });
        let outputs = writers.map(|writer| writer.wait_with_output().unwrap());
        let done = outputs
            .iter()
            .filter(|output| output.status.success())
            .count();
        // A new device has one name and one author; the other two take what came last.
        let expected = if kind.name == "a device" { 1 } else { 2 };
        assert_eq!(done, expected, "{}: {outputs:?}", kind.name);
        assert!((kind.is_whole)(&file), "{} is damaged", kind.name);
    }
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    for kind in &KINDS {
        let place = Place::new();
        let is_new = kind.name == "a device";
        let file = place.file(kind);
        if !is_new {
            succeed(&place.run(kind, false));
        }
        let before = std::fs::read(&file).ok();
        // With the signal ignored, a write beyond the limit of no bytes fails as one to a full disk does.
        let output = place
            .command("bash")
            .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "-", EXE])
            .args((kind.arguments)(&file, true))
            .output()
            .unwrap();
        refused(kind, &output);
        assert_eq!(std::fs::read(&file).ok(), before, "{}", kind.name);
        assert_eq!(place.leftovers(), Vec::<PathBuf>::new(), "{}", kind.name);
    }
}

#[test]
fn a_disk_that_is_really_full_leaves_the_old_file() {
    let place = Place::new();
    let disk = place.folder().join("disk");
    std::fs::create_dir(&disk).unwrap();
    // In a name space of its own the mount ends with the shell.
    let script = r#"set -e
        mount -t tmpfs -o size=256k none "$1"
        "$2" export --model bundled:fashion-cnn --weight-bits 4 -o "$1/model"
        before=$(sha256sum < "$1/model")
        dd if=/dev/zero of="$1/filler" bs=4k 2>/dev/null || true
        if "$2" export --model bundled:fashion-cnn --weight-bits 8 -o "$1/model"; then exit 3; fi
        test "$before" = "$(sha256sum < "$1/model")" || exit 4
        test "$(ls -A "$1" | wc -l)" = 2 || exit 5"#;
    let output = place
        .command("unshare")
        .args(["--mount", "bash", "-c", script, "-"])
        .arg(&disk)
        .arg(EXE)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let may_mount = !said.contains("unshare") && !said.contains("mount:");
    if !may_mount {
        eprintln!("SKIPPED, as this user may not mount a disk of its own: {said}");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("cannot be written (No space left on device"),
        "{said}"
    );
}

fn refused(kind: &Kind, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{}: {said}", kind.name);
    assert_eq!(output.status.code(), Some(2), "{}: {said}", kind.name);
    assert!(said.contains("cannot be written"), "{}: {said}", kind.name);
}

/// Runs the program, which must end by itself; its exit code and what it complained of.
fn ends(place: &Place, arguments: &[&str]) -> (i32, String) {
    let output = place
        .command("timeout")
        .args(["-s", "KILL", "60", EXE])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    (
        code.unwrap_or_else(|| panic!("{arguments:?} waits: {said}")),
        said,
    )
}

#[test]
fn no_command_waits_for_a_pipe_or_reads_a_device_to_its_end() {
    let place = Place::new();
    let folder = place.folder();
    let pipe = |name: &str| {
        let path = folder.join(name);
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        path.to_str().unwrap().to_owned()
    };
    let zero = |name: &str| {
        let path = folder.join(name);
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // What every command reads: devices of one's own, this machine's constants, students.
    pipe("hardware/pipe.ron");
    zero("hardware/zero.ron");
    pipe("this-machine.ron");
    let (code, said) = ends(&place, &["hardware"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("this is a pipe") && said.contains("this is a device"),
        "{said}"
    );
    let pipes = [
        pipe("a.ron"),
        pipe("a.safetensors"),
        pipe("a.csv"),
        pipe("a.json"),
    ];
    let zeros = [
        zero("z.ron"),
        zero("z.safetensors"),
        zero("z.csv"),
        zero("z.json"),
    ];
    for ([preset, model, table, config], fact) in [
        (&pipes, "this is a pipe, not a regular file"),
        (&zeros, "this is a device, not a regular file"),
    ] {
        for arguments in [
            vec!["preset", "check", preset],
            vec!["report", "--preset", preset],
            vec!["report", "--model", model],
            vec!["report", "--model", config],
            vec!["export", "--model", model, "--output", "/dev/null"],
            vec!["validate", "--against", table],
            vec!["calibrate", "--against", table],
            vec!["hardware", "check", preset],
            vec![
                "export",
                "--model",
                "bundled:fashion-cnn",
                "--output",
                table,
            ],
            vec!["report", "--model", "dense:7e9", "--save", preset],
            vec!["calibrate", "--output", preset],
        ] {
            let (code, said) = ends(&place, &arguments);
            assert_eq!(code, 2, "{arguments:?}: {said}");
            assert!(said.contains(fact), "{arguments:?}: {said}");
        }
    }
}

#[test]
fn a_file_that_is_too_long_is_refused_before_it_is_read() {
    let place = Place::new();
    let cases = [
        ("long.csv", 1 << 30, vec!["validate", "--against"]),
        ("long.ron", 2 << 20, vec!["preset", "check"]),
        ("long.json", 1 << 30, vec!["report", "--model"]),
    ];
    for (name, length, mut arguments) in cases {
        let path = place.folder().join(name);
        std::fs::File::create(&path)
            .unwrap()
            .set_len(length)
            .unwrap();
        arguments.push(path.to_str().unwrap());
        let (code, said) = ends(&place, &arguments);
        assert_eq!(code, 2, "{said}");
        let fact = format!("the file has {length} bytes, and files of this kind are read up to ");
        assert!(said.contains(&fact), "{said}");
    }
}
