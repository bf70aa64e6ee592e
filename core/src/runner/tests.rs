//! The same network in this process.

use std::io::Cursor;
use std::sync::Arc;

use super::protocol::{Request, read_reply, write_reply};
use super::*;

#[test]
fn messages_are_read_as_they_were_written() {
    let array = |name: &str, numbers: Numbers| Array {
        name: name.to_owned(),
        shape: vec![1, numbers.len()],
        numbers,
    };
    let arrays = vec![
        array("a", Numbers::Float(vec![1.5, -2.0])),
        array("b", Numbers::Int(vec![-3])),
        array("c", Numbers::Signed(vec![-4, 5])),
        array("d", Numbers::Byte(vec![200])),
    ];
    let network = Network {
        graph: Arc::from(&b"graph"[..]),
        buffers: vec![Arc::from(&b"one"[..]), Arc::from(&b""[..])],
        optimised: true,
    };
    let requests = [
        Request::Load(network),
        Request::Replace(vec![(7, vec![1, 2, 3])]),
        Request::Run(arrays.clone(), vec!["y".to_owned(), String::new()]),
    ];
    for request in requests {
        let mut bytes = Vec::new();
        request.write(&mut bytes).unwrap();
        let again = Request::read(&mut Cursor::new(&bytes)).unwrap();
        assert_eq!(format!("{again:?}"), format!("{request:?}"));
        for end in 0..bytes.len() {
            assert!(Request::read(&mut Cursor::new(&bytes[..end])).is_err());
        }
        // A length that lies takes no memory.
        for at in (0..bytes.len()).step_by(8) {
            let mut lie = bytes.clone();
            let end = (at + 8).min(lie.len());
            lie[at..end].fill(0xff);
            let _ = Request::read(&mut Cursor::new(&lie));
        }
    }
    for reply in [Ok(arrays), Err("a fact".to_owned())] {
        let mut bytes = Vec::new();
        write_reply(&mut bytes, &reply).unwrap();
        assert_eq!(read_reply(&mut Cursor::new(&bytes)).unwrap(), reply);
    }
}
