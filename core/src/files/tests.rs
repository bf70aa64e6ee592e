//! Files as they should not be: pipes, devices, folders, links, leftovers.

use std::time::Duration;

use super::*;

fn fact(result: Result<impl std::fmt::Debug>, path: &Path) -> String {
    let text = result.unwrap_err().to_string();
    text.strip_suffix(&format!(": {}", path.display()))
        .unwrap_or("the path is not last")
        .to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_read_up_to_its_limit_and_told_by_both_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, "12345").unwrap();
    assert_eq!(read_text(&path, 5).unwrap(), "12345");
    assert_eq!(
        fact(read_text(&path, 4), &path),
        "the file has 5 bytes, and files of this kind are read up to 4 bytes"
    );
    fs::write(&path, [b'a', 0xff]).unwrap();
    assert_eq!(
        fact(read_text(&path, 5), &path),
        "this is not a text file (byte 1)"
    );
    let missing = folder.path().join("missing");
    assert_eq!(
        fact(read_text(&missing, 5), &missing),
        "there is no such file"
    );
    assert_eq!(read_text_if_there(&missing, 5).unwrap(), None);
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_neither_read_nor_written_and_nobody_waits() {
    use std::os::unix::net::UnixListener;
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    let cases = [
        (pipe, "this is a pipe, not a regular file"),
        (socket, "this is a socket, not a regular file"),
        (folder.path().to_owned(), "this is a folder, not a file"),
        (
            PathBuf::from("/dev/zero"),
            "this is a device, not a regular file",
        ),
        (link, "this is a device, not a regular file"),
    ];
    let before = names(folder.path());
    for (path, expected) in cases {
        // A read or write that waits is told from one that is refused by the answer not coming.
        let (send, receive) = std::sync::mpsc::channel();
        let there = path.clone();
        std::thread::spawn(move || {
            let facts = [
                read_bytes(&there, 9).map(|_| ()),
                open_regular(&there).map(|_| ()),
                read_text_if_there(&there, 9).map(|_| ()),
                replace_with(&there, "x"),
                create_with(&there, "x"),
            ];
            // Whoever waited too long has failed already.
            let _ = send.send(facts);
        });
        let results = receive.recv_timeout(Duration::from_secs(20)).unwrap();
        for result in results {
            assert_eq!(fact(result, &path), expected, "{}", path.display());
        }
    }
    assert_eq!(names(folder.path()), before);
}

#[cfg(unix)]
#[test]
fn a_replaced_file_keeps_its_mode_and_a_link_stays_a_link() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, "old").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real", &link).unwrap();
    replace_with(&link, "new").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "new");
    assert_eq!(
        fs::metadata(&real).unwrap().permissions().mode() & 0o777,
        0o640
    );
    let dangling = folder.path().join("dangling");
    std::os::unix::fs::symlink("later", &dangling).unwrap();
    replace_with(&dangling, "there").unwrap();
    assert_eq!(
        fs::read_to_string(folder.path().join("later")).unwrap(),
        "there"
    );
    let round = folder.path().join("round");
    std::os::unix::fs::symlink("round", &round).unwrap();
    let message = fact(replace_with(&round, "x"), &round);
    assert!(message.starts_with("cannot be written"), "{message}");
    assert_eq!(
        names(folder.path()),
        ["dangling", "later", "link", "real", "round"]
    );
    // A new file is for whom the mask says, as any other program's.
    let plain = folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    let ours = folder.path().join("ours");
    replace_with(&ours, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&ours), mode(&plain));
}

#[test]
fn a_failed_writing_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, "old").unwrap();
    let failed = replace(&path, |writer| {
        writer.write_all(b"half of the new")?;
        Err::<(), _>(io::Error::other("the disk is full"))
    });
    assert_eq!(fact(failed, &path), "cannot be written (the disk is full)");
    let own = Error::Infeasible("a reason of one's own".to_owned());
    let failed = replace(&path, |_| Err::<(), _>(io::Error::other(own.clone())));
    assert_eq!(failed.unwrap_err(), own);
    assert_eq!(
        fact(create_with(&path, "x"), &path),
        "a file of that name is there already"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(folder.path()), ["a"]);
    let nowhere = folder.path().join("no/such");
    assert_eq!(
        fact(replace_with(&nowhere, "x"), &nowhere),
        "cannot be written (there is no such folder)"
    );
}

#[test]
fn a_leftover_goes_with_the_next_writing_and_a_draft_in_work_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (leftover, other) = (".wattif-abc.part", ".wattif-abc.part2");
    for name in [leftover, other] {
        fs::write(folder.path().join(name), "half").unwrap();
    }
    let path = folder.path().join("a");
    replace(&path, |_| {
        // Another writer comes while this one works.
        assert_eq!(remove_leftovers(folder.path()), 0);
        replace_with(&folder.path().join("b"), "b").map_err(io::Error::other)
    })
    .unwrap();
    assert_eq!(names(folder.path()), [other, "a", "b"]);
}

#[test]
fn what_is_set_aside_takes_the_place_of_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.ron");
    for text in ["first", "second"] {
        fs::write(&path, text).unwrap();
        set_aside(&path).unwrap();
    }
    assert_eq!(
        names(folder.path()),
        ["session.damaged-1.ron", "session.damaged-2.ron"]
    );
    let first = folder.path().join("session.damaged-1.ron");
    assert_eq!(fs::read_to_string(first).unwrap(), "first");
}
