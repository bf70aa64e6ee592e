//! Where the last session is kept: `session.ron` in the configuration folder.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::session::Session;

/// The last session; a fresh one where none was kept.
///
/// # Errors
/// The file is there and cannot be read; the caller goes on with a fresh session and says so.
pub(super) fn load(folder: &Path) -> Result<Session> {
    let path = folder.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Session::default()),
        Err(error) => {
            return Err(error).with_context(|| {
                format!("The last session could not be read: {}", path.display())
            });
        }
    };
    let session: Session = ron::from_str(&text).with_context(|| {
        format!(
            "The last session is damaged and was left aside: {}",
            path.display()
        )
    })?;
    // A file edited by hand must not bring in what no slider can.
    session.configuration.recipe.validate()?;
    session.configuration.scenario.validate()?;
    Ok(session)
}

/// Keeps the session; the file is either the old or the new one at any moment.
///
/// # Errors
/// The folder cannot be written.
pub(super) fn save(folder: &Path, session: &Session) -> Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join(FILE);
    let text = ron::ser::to_string_pretty(session, ron::ser::PrettyConfig::default())?;
    let draft = path.with_extension("ron.new");
    fs::write(&draft, text)?;
    fs::rename(&draft, &path)?;
    Ok(())
}

const FILE: &str = "session.ron";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_again_and_a_damaged_one_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap(), Session::default());
        let mut session = Session::default();
        session.configuration.recipe.quantization.weight_bits = 4;
        save(folder.path(), &session).unwrap();
        assert_eq!(load(folder.path()).unwrap(), session);
        fs::write(folder.path().join(FILE), "(configuration: 3").unwrap();
        let message = load(folder.path()).unwrap_err().to_string();
        assert!(
            message.starts_with("The last session is damaged"),
            "{message}"
        );
    }
}
