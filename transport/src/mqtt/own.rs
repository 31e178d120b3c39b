//! Whether a connection over this machine's loopback is from this process itself.

use std::{fs, io, net::SocketAddrV4};

/// Whether the socket at `peer`, which is connected to `local`, belongs to this process (`/proc/self/net/tcp`, proc(5)).
///
/// # Errors
/// When `/proc` can't be read.
pub(super) fn is_ours(peer: SocketAddrV4, local: SocketAddrV4) -> io::Result<bool> {
    let table = fs::read_to_string("/proc/self/net/tcp")?;
    let Some(inode) = inode(&table, peer, local) else { return Ok(false) };
    let socket = format!("socket:[{inode}]");
    for descriptor in fs::read_dir("/proc/self/fd")? {
        // One that was closed meanwhile is not it.
        if fs::read_link(descriptor?.path()).is_ok_and(|link| link.as_os_str() == socket.as_str()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The inode of the socket with these two ends.
fn inode(table: &str, local: SocketAddrV4, remote: SocketAddrV4) -> Option<&str> {
    let (local, remote) = (written(local), written(remote));
    table.lines().find_map(|line| {
        // sl, local_address, rem_address, st, queues, timer, retransmits, uid, timeout, inode
        let columns: Vec<_> = line.split_ascii_whitespace().take(10).collect();
        (columns.get(1) == Some(&local.as_str()) && columns.get(2) == Some(&remote.as_str()))
            .then(|| columns.get(9).copied())
            .flatten()
    })
}

/// The address is the number as this machine keeps it, the port is not.
fn written(address: SocketAddrV4) -> String {
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net::{SocketAddr, TcpListener, TcpStream},
        process::{Command, Stdio},
    };

    use super::*;

    fn v4(address: SocketAddr) -> SocketAddrV4 {
        let SocketAddr::V4(address) = address else { panic!("{address} is not IPv4") };
        address
    }

    #[test]
    fn a_connection_of_this_process_is_known_from_that_of_another() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = v4(listener.local_addr().unwrap());
        let _own = TcpStream::connect(local).unwrap();
        let (_stream, peer) = listener.accept().unwrap();
        assert!(is_ours(v4(peer), local).unwrap());

        let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{}; read", local.port());
        let mut other = Command::new("bash").args(["-c", &connect]).stdin(Stdio::piped()).spawn().unwrap();
        let (mut stream, peer) = listener.accept().unwrap();
        assert!(!is_ours(v4(peer), local).unwrap());
        drop(other.stdin.take());
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        other.wait().unwrap();
        assert!(!is_ours(v4(peer), local).unwrap(), "one that is gone is nobody's");
    }
}
