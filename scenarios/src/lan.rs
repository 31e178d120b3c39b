//! [`Lan`]: a network of its own on this host: network namespaces on one bridge, each of which can be cut, slowed down and made to
//! drop things. Needs root.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::programs;

/// 198.18.0.0/15 is for measurements between networks (RFC 2544); each program has 256 addresses of it.
const BLOCK: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// How many programs find room.
const PARTS: u32 = 512;
/// This host's own place.
const HERE: u8 = 254;

/// A bridge in a namespace, with this host on it. Goes away when it is dropped.
pub struct Lan {
    name: String,
    part: u32,
    nodes: u8,
}

/// A namespace on it, as if it was another host. Goes away when it is dropped.
pub struct Node {
    name: String,
    /// The bridge's namespace, and the port on it.
    lan: String,
    port: String,
    address: Ipv4Addr,
}

impl Lan {
    /// Builds it.
    ///
    /// # Errors
    /// Without root's rights, or without `ip`.
    pub fn build() -> anyhow::Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "this has networks of its own: run it as root, or with sudo");
        let id = std::process::id();
        let lan = Self { name: format!("lb{id}-lan"), part: id % PARTS, nodes: 0 };
        let name = &lan.name;
        ip(&format!("netns add {name}"))?;
        ip(&format!("-netns {name} link add hub type bridge"))?;
        ip(&format!("-netns {name} link set hub up"))?;
        let here = lan.here();
        ip(&format!("link add {name} type veth peer name p{HERE} netns {name}"))?;
        ip(&format!("-netns {name} link set p{HERE} master hub up"))?;
        ip(&format!("address add {here}/24 dev {name}"))?;
        ip(&format!("link set {name} up"))?;
        Ok(lan)
    }

    /// This host's address on it.
    pub fn here(&self) -> Ipv4Addr {
        self.address(HERE)
    }

    /// Adds a host.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn node(&mut self) -> anyhow::Result<Node> {
        self.nodes += 1;
        let (number, lan) = (self.nodes, &self.name);
        let node = Node {
            name: format!("lb{}-n{number}", std::process::id()),
            lan: lan.clone(),
            port: format!("p{number}"),
            address: self.address(number),
        };
        let Node { name, port, address, .. } = &node;
        ip(&format!("netns add {name}"))?;
        ip(&format!("-netns {lan} link add {port} type veth peer name cable netns {name}"))?;
        ip(&format!("-netns {lan} link set {port} master hub up"))?;
        ip(&format!("-netns {name} address add {address}/24 dev cable"))?;
        ip(&format!("-netns {name} link set cable up"))?;
        ip(&format!("-netns {name} link set lo up"))?;
        Ok(node)
    }

    fn address(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::from(BLOCK + (self.part << 8) + u32::from(number))
    }
}

impl Node {
    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The command as it must be to run there. `ip` becomes the program: it keeps the process id.
    pub fn within(&self, command: &Command) -> anyhow::Result<Command> {
        let mut inside = programs::installed("ip", "iproute2")?;
        inside.args(["netns", "exec", &self.name]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        Ok(inside)
    }

    /// Takes its cable out of the hub: nothing gets through, and no other host is told.
    pub fn cut(&self) -> anyhow::Result<()> {
        ip(&format!("-netns {} link set {} down", self.lan, self.port))
    }

    /// Puts it in again.
    pub fn mend(&self) -> anyhow::Result<()> {
        ip(&format!("-netns {} link set {} up", self.lan, self.port))
    }

    /// Lets so much through of what it sends, and keeps two seconds of the rest waiting.
    pub fn slow_down(&self, rate: &str) -> anyhow::Result<()> {
        let line = format!("-netns {} qdisc add dev cable root tbf rate {rate} burst 1600 latency 2s", self.name);
        run(programs::installed("tc", "iproute2")?, &line)
    }

    /// Lets everything through again.
    pub fn speed_up(&self) -> anyhow::Result<()> {
        run(programs::installed("tc", "iproute2")?, &format!("-netns {} qdisc del dev cable root", self.name))
    }

    /// Drops what matches this rule of nftables, of what comes in, or of what it sends.
    pub fn drops(&self, hook: Hook, rule: &str) -> anyhow::Result<()> {
        let hook = match hook {
            Hook::In => "input",
            Hook::Out => "output",
        };
        let rules =
            format!("table inet lastbeat {{ chain {hook} {{ type filter hook {hook} priority 0; {rule} drop; }}; }};");
        let mut nft = self.within(&programs::installed("nft", "nftables")?)?;
        let output = nft.arg(&rules).output().context("run nft")?;
        ensure!(output.status.success(), "nft {rules}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }
}

/// Which way things go that are dropped.
#[derive(Debug, Clone, Copy)]
pub enum Hook {
    /// To the host.
    In,
    /// From it.
    Out,
}

impl Drop for Node {
    fn drop(&mut self) {
        // Errors say that it was never there. The cable would go with the namespace, but some time later.
        let _ = ip(&format!("-netns {} link del {}", self.lan, self.port));
        let _ = ip(&format!("netns del {}", self.name));
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let _ = ip(&format!("link del {}", self.name));
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn ip(line: &str) -> anyhow::Result<()> {
    run(programs::installed("ip", "iproute2")?, line)
}

fn run(mut command: Command, line: &str) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.args(line.split(' ')).output().with_context(|| format!("run {program}"))?;
    if !output.status.success() {
        bail!("{program} {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
