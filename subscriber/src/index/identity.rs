//! The name of a log, for the ids of documents whose messages bear no identity of their own.

use std::path::Path;

use anyhow::Context;

/// A file with the name of the log in this folder, made at the first start. It goes where the log goes, for a position in one
/// log says nothing about another.
pub fn of_log(dir: &Path) -> anyhow::Result<String> {
    let path = dir.join("index.id");
    let shown = path.display();
    match std::fs::read_to_string(&path) {
        Ok(id) if id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(id),
        Ok(_) => anyhow::bail!("{shown} is damaged; where the log is a new one, delete it"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = format!("{:016x}", rand::random::<u64>());
            std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
            lastbeat_log::write_whole(&path, id.as_bytes()).with_context(|| shown.to_string())?;
            Ok(id)
        }
        Err(error) => Err(error).with_context(|| shown.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_name_and_another_has_another() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = of_log(one.path()).unwrap();
        assert_eq!(of_log(one.path()).unwrap(), id);
        assert_ne!(of_log(other.path()).unwrap(), id);
        std::fs::write(one.path().join("index.id"), &id[..7]).unwrap();
        assert!(of_log(one.path()).unwrap_err().to_string().contains("index.id is damaged"));
    }
}
