//! [`Network`]: a publisher's own network namespace, and the cable (a veth pair) to it, which can be cut. Needs root.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::{Context, bail};

use crate::programs;

/// Measurements between networks use these addresses, and nothing else does: 198.18.0.0/15 (RFC 2544, RFC 6890).
const BLOCK: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// How many addresses it has.
const ADDRESSES: u32 = 1 << 17;

/// A network namespace with one cable to this host's own. Goes away when it is dropped.
pub struct Network {
    name: String,
    near: Ipv4Addr,
    far: Ipv4Addr,
}

impl Network {
    /// Lays the `number`-th network of this program. `near` is this host's address on all cables.
    ///
    /// # Errors
    /// Without root's rights, or without `ip`.
    pub fn lay(number: u32, near: Ipv4Addr) -> anyhow::Result<Self> {
        let name = format!("lb{}-{number}", std::process::id());
        let network = Self { near, far: address(number), name };
        // What was laid already is taken up again when one of these fails.
        network.ip("netns add {name}")?;
        network.ip("link add {name} type veth peer name cable netns {name}")?;
        network.ip("address add {near}/32 dev {name}")?;
        network.ip("link set {name} up")?;
        network.ip("route add {far}/32 dev {name}")?;
        network.ip("-netns {name} address add {far}/32 dev cable")?;
        network.mend()?;
        Ok(network)
    }

    /// The address in there.
    pub fn far(&self) -> Ipv4Addr {
        self.far
    }

    /// Cuts the cable: nothing gets through, and nobody is told.
    pub fn cut(&self) -> anyhow::Result<()> {
        self.ip("-netns {name} link set cable down")
    }

    /// Makes it whole again.
    pub fn mend(&self) -> anyhow::Result<()> {
        self.ip("-netns {name} link set cable up")?;
        self.ip("-netns {name} route replace {near}/32 dev cable")
    }

    /// The command as it must be to run in there. `ip` becomes the program: it keeps the process id.
    pub fn within(&self, command: &Command) -> anyhow::Result<Command> {
        let mut inside = ip()?;
        inside.args(["netns", "exec", &self.name]).arg(command.get_program()).args(command.get_args());
        Ok(inside)
    }

    fn ip(&self, line: &str) -> anyhow::Result<()> {
        let (near, far) = (self.near.to_string(), self.far.to_string());
        let line = line.replace("{name}", &self.name).replace("{near}", &near).replace("{far}", &far);
        let output = ip()?.args(line.split(' ')).output().context("run ip")?;
        if !output.status.success() {
            bail!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Errors say that they were never there. The cable would go with the namespace, but some time later.
        let _ = self.ip("link del {name}");
        let _ = self.ip("netns del {name}");
    }
}

/// This host's end of all the cables that this program lays.
pub fn near_address() -> Ipv4Addr {
    address(0)
}

/// Whether networks may be laid here.
///
/// # Errors
/// If not, and why.
pub fn check() -> anyhow::Result<()> {
    ip()?;
    if !rustix::process::geteuid().is_root() {
        bail!("--how net cuts a network link of its own: run it as root, or with sudo");
    }
    Ok(())
}

/// A free port on one of this host's addresses, also on one that it doesn't have yet.
pub fn free_port(address: Ipv4Addr) -> anyhow::Result<SocketAddr> {
    let any = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    let port = any.local_addr().context("find a free port")?.port();
    Ok((address, port).into())
}

fn ip() -> anyhow::Result<Command> {
    programs::installed("ip", "iproute2")
}

/// Others may run at the same time: each program has four addresses of its own.
fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(BLOCK) + (std::process::id() * 4 + number) % ADDRESSES)
}
