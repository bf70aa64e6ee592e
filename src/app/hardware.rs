//! The user's own devices in the window: opened from a file, copied and changed in the editor, removed.

use std::path::{Path, PathBuf};

use wattif_core::files;
use wattif_core::hardware::{self, HardwareTarget, own};
use wattif_core::scenario::Scenario;

use super::App;
use super::command::Action;
use super::editor::Answer;
use super::notices::{Subject, Tone};

/// What can be asked for of a device.
#[derive(Debug, Clone)]
pub(super) enum HardwareAction {
    /// Open the editor on a copy of the device with this identifier.
    Copy(String),
    /// Open the editor on one of the user's own devices.
    Change(String),
    /// Ask whether one of the user's own devices is to be removed.
    Remove(String),
    /// Measure this machine.
    Measure,
    /// Use the constants that were measured.
    UseMeasured,
    /// Close the result of the measurement without using it.
    CloseMeasured,
    /// Return to the assumed constants.
    ForgetMeasured,
}

/// Whether a file was meant to describe a device, broken or not: every device has a power limit, no preset has.
pub(super) fn describes_a_device(path: &Path) -> bool {
    files::read_text(path, files::LONGEST_SETTINGS).is_ok_and(|text| text.contains("power_limit"))
}

impl App {
    /// Says which of the user's files hold no device.
    pub(super) fn report_broken_hardware(&mut self) {
        let broken = hardware::broken().unwrap_or_default();
        let texts: Vec<String> = broken.iter().map(ToString::to_string).collect();
        let title = match texts.len() {
            0 => {
                self.notices.withdraw(&Subject::OwnFiles);
                return;
            }
            1 => "A file of yours was left out",
            _ => "Files of yours were left out",
        };
        self.notify(Subject::OwnFiles, Tone::Note, title, texts.join("\n"));
    }

    /// Copies a device file into the user's folder and goes to that device.
    pub(super) fn open_hardware(&mut self, path: &Path) {
        match self.install_hardware(path) {
            Ok(target) => {
                self.notices.succeeded(&Subject::Opening);
                self.go_to(target.id);
            }
            Err(error) => self.fail(Subject::Opening, "The hardware file was not added", &error),
        }
    }

    fn install_hardware(&mut self, path: &Path) -> anyhow::Result<HardwareTarget> {
        let configuration = self.configuration_folder()?;
        let target = own::install(path, &own::folder(&configuration))?;
        self.reload_hardware(&configuration)?;
        Ok(target)
    }

    /// Does what was asked for of a device.
    pub(super) fn do_to_hardware(&mut self, action: HardwareAction) {
        let (title, done) = match action {
            HardwareAction::Copy(id) => ("The device was not copied", self.edit(&id, true)),
            HardwareAction::Change(id) => ("The device was not opened", self.edit(&id, false)),
            HardwareAction::Remove(id) => (
                "The device was not removed",
                hardware::find(&id)
                    .map(|target| self.editor.ask_to_remove(target))
                    .map_err(Into::into),
            ),
            HardwareAction::Measure => {
                self.measure_this_machine();
                return;
            }
            HardwareAction::UseMeasured => (
                "The measured constants are not in use",
                self.use_measured_machine(),
            ),
            HardwareAction::CloseMeasured => {
                self.calibrating.close();
                return;
            }
            HardwareAction::ForgetMeasured => (
                "The measured constants are still in use",
                self.forget_measured_machine(),
            ),
        };
        match done {
            Ok(()) => self.notices.succeeded(&Subject::Devices),
            Err(error) => self.fail(Subject::Devices, title, &error),
        }
    }

    /// Opens the editor.
    fn edit(&mut self, id: &str, copy: bool) -> anyhow::Result<()> {
        let folder = own::folder(&self.configuration_folder()?);
        let target = hardware::find(id)?;
        if copy {
            self.editor.copy(target, &folder);
        } else {
            self.editor.change(target, &folder);
        }
        Ok(())
    }

    /// Does what the editor was left with.
    pub(super) fn edited(&mut self, answer: Answer) {
        let (title, done) = match answer {
            Answer::Save { target, is_new } => (
                "The device was not saved",
                self.save_device(&target, is_new),
            ),
            Answer::Remove(id) => ("The device was not removed", self.remove_device(&id)),
        };
        // Where it failed the editor stays open, with all that was typed.
        match done {
            Ok(()) => {
                self.notices.succeeded(&Subject::Devices);
                self.editor.close();
            }
            Err(error) => self.fail(Subject::Devices, title, &error),
        }
    }

    fn save_device(&mut self, target: &HardwareTarget, is_new: bool) -> anyhow::Result<()> {
        let configuration = self.configuration_folder()?;
        let folder = own::folder(&configuration);
        if is_new {
            own::add(target, &folder)?;
        } else {
            own::replace(target, &folder)?;
        }
        self.reload_hardware(&configuration)?;
        self.go_to(target.id.clone());
        Ok(())
    }

    fn remove_device(&mut self, id: &str) -> anyhow::Result<()> {
        let configuration = self.configuration_folder()?;
        let like = hardware::find(id)?.like.clone();
        own::remove(id, &own::folder(&configuration))?;
        self.reload_hardware(&configuration)?;
        let used = &self.session.configuration.scenario.hardware;
        if used.eq_ignore_ascii_case(id) {
            self.go_to(like.unwrap_or_else(|| Scenario::default().hardware));
        }
        Ok(())
    }

    /// Chooses a device.
    pub(super) fn go_to(&mut self, id: String) {
        let scenario = Scenario {
            hardware: id,
            ..self.session.configuration.scenario.clone()
        };
        self.queue.push(Action::SetScenario(scenario, None));
    }

    /// Reads the devices and the measured constants again.
    pub(super) fn reload_hardware(&mut self, configuration: &Path) -> anyhow::Result<()> {
        hardware::reload(configuration)?;
        self.derived.forget();
        self.report_broken_hardware();
        Ok(())
    }

    pub(super) fn configuration_folder(&self) -> anyhow::Result<PathBuf> {
        self.folder
            .clone()
            .ok_or_else(|| anyhow::anyhow!("this system names no folder to keep devices in"))
    }
}
