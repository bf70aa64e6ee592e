//! The user's own devices in the window.

use std::path::{Path, PathBuf};

use wattif_core::hardware::{self, HardwareTarget, own};

use super::App;
use super::command::Action;
use super::panels::errors::Tone;

/// Whether a file was meant to describe a device, broken or not: every device has a power limit, no preset has.
pub(super) fn describes_a_device(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("power_limit"))
}

impl App {
    /// Says which of the user's files hold no device.
    pub(super) fn report_broken_hardware(&mut self) {
        for error in hardware::broken().unwrap_or_default() {
            self.notify(
                Tone::Note,
                "A file of yours was left out",
                error.to_string(),
            );
        }
    }

    /// Copies a device file into the user's folder and goes to that device.
    pub(super) fn open_hardware(&mut self, path: &Path) {
        match self.install_hardware(path) {
            Ok(target) => {
                self.derived.forget();
                self.report_broken_hardware();
                let mut scenario = self.session.configuration.scenario.clone();
                scenario.hardware = target.id;
                self.queue.push(Action::SetScenario(scenario, None));
            }
            Err(error) => self.fail("The hardware file was not added", &error),
        }
    }

    fn install_hardware(&self, path: &Path) -> anyhow::Result<HardwareTarget> {
        let configuration = self.configuration_folder()?;
        let target = own::install(path, &own::folder(&configuration))?;
        hardware::reload(&configuration)?;
        Ok(target)
    }

    fn configuration_folder(&self) -> anyhow::Result<PathBuf> {
        self.folder
            .clone()
            .ok_or_else(|| anyhow::anyhow!("this system names no folder to keep devices in"))
    }
}
