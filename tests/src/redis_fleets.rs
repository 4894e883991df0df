//! Redis of several servers: a master with its replica and three sentinels, and a cluster. Each ends with the scene. With TLS its servers speak it with
//! each other and with gateways, by certificates for `redis.internal`, and at a port beside it in clear with the scene.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::peers::Peer;
use crate::transport::{await_port, redis_at};
use crate::{Authority, Redis, eventually, free_port, redis_cli};

/// A master, a replica, and three sentinels that watch them. The sentinels want a password.
pub struct SentinelRedis {
    /// The first master, and the one that takes its place.
    pub servers: [Redis; 2],
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    _peer: Peer,
    _folder: TempDir,
    port: u16,
    tls_port: Option<u16>,
}

/// The password of the sentinels.
const SENTINEL_PASSWORD: &str = "a word for sentinels";

/// A master `mymaster`, its replica and its sentinels, which know each other.
#[track_caller]
pub fn sentinel_redis() -> SentinelRedis {
    sentinels_with(None)
}

/// The same with TLS, by the word of this authority.
#[track_caller]
pub fn sentinel_redis_by_tls(authority: &Authority) -> SentinelRedis {
    sentinels_with(Some(authority))
}

#[track_caller]
fn sentinels_with(authority: Option<&Authority>) -> SentinelRedis {
    let options = Options::new(authority);
    let master = options.redis(&[]);
    let replica = options.redis(&["--replicaof", "127.0.0.1", &master.fleet_port().to_string()]);
    let info = || redis_cli(replica.address(), &["INFO", "replication"]);
    eventually("the replica follows", || info().contains("master_link_status:up"));
    let start = |_| {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nrequirepass \"{SENTINEL_PASSWORD}\"\n\
             sentinel sentinel-pass \"{SENTINEL_PASSWORD}\"\nsentinel monitor mymaster 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 2000\n",
            folder.path().display(),
            master.fleet_port(),
        );
        let file = folder.path().join("sentinel.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new("redis-server");
        let (options, tls_port) = options.draw();
        command.arg(&file).arg("--sentinel").args(options).stdin(Stdio::null()).stdout(Stdio::null());
        let peer = Peer::start(&mut command);
        await_port("redis-server", port);
        Sentinel { _peer: peer, _folder: folder, port, tls_port }
    };
    let sentinels: Vec<_> = (0..3).map(start).collect();
    let fleet = SentinelRedis { servers: [master, replica], sentinels };
    for number in 0..3 {
        eventually("the sentinels know all", || {
            let said = fleet.ask_sentinel(number, &["SENTINEL", "MASTER", "mymaster"]);
            let lines: Vec<&str> = said.lines().collect();
            let told = |name| lines.iter().position(|line| *line == name).map(|at| lines[at + 1]);
            told("num-slaves") == Some("1") && told("num-other-sentinels") == Some("2")
        });
    }
    fleet
}

impl SentinelRedis {
    /// Its URL, and the password of the sentinels, as keys of the configuration. One sentinel that is named is nobody.
    pub fn keys(&self) -> String {
        let ports = self.sentinels.iter().map(|sentinel| sentinel.tls_port.unwrap_or(sentinel.port));
        let places: Vec<_> = ports.map(|port| format!("127.0.0.1:{port}")).collect();
        format!(
            "redis: '{}+sentinel://127.0.0.1:{},{}/mymaster', sentinel_password: {SENTINEL_PASSWORD}",
            scheme(&self.servers),
            free_port(),
            places.join(",")
        )
    }

    /// Has the sentinels call the replica the master, and know nothing of the first master any more, which goes on.
    #[track_caller]
    pub fn appoint_replica(&self) {
        let replica = &self.servers[1];
        expect_ok(replica, &["REPLICAOF", "NO", "ONE"]);
        let port = replica.fleet_port().to_string();
        for number in 0..self.sentinels.len() {
            assert_eq!(self.ask_sentinel(number, &["SENTINEL", "REMOVE", "mymaster"]), "OK");
            let watch = ["SENTINEL", "MONITOR", "mymaster", "127.0.0.1", &port, "2"];
            assert_eq!(self.ask_sentinel(number, &watch), "OK");
        }
    }

    fn ask_sentinel(&self, number: usize, command: &[&str]) -> String {
        let address: SocketAddr = ([127, 0, 0, 1], self.sentinels[number].port).into();
        redis_cli(address, &[&["--no-auth-warning", "-a", SENTINEL_PASSWORD], command].concat())
    }
}

/// Masters that have the slots among them, in thirds, and a replica of each.
pub struct RedisCluster {
    /// The masters as they were at the beginning, then their replicas.
    pub nodes: Vec<Redis>,
    options: Options,
}

/// A Redis Cluster of three masters, and as many replicas where it is to have some. It takes a second until one that is gone is missed, and the
/// others go on without it.
#[track_caller]
pub fn redis_cluster(has_replicas: bool) -> RedisCluster {
    cluster_with(None, has_replicas)
}

/// The same with TLS, by the word of this authority, and with replicas.
#[track_caller]
pub fn redis_cluster_by_tls(authority: &Authority) -> RedisCluster {
    cluster_with(Some(authority), true)
}

#[track_caller]
fn cluster_with(authority: Option<&Authority>, has_replicas: bool) -> RedisCluster {
    let options = Options::new(authority);
    let nodes = (0..if has_replicas { 6 } else { 3 }).map(|_| cluster_node(&options)).collect();
    let cluster = RedisCluster { nodes, options };
    for (node, (first, last)) in cluster.nodes.iter().zip([(0, 5460), (5461, 10_922), (10_923, 16_383)]) {
        expect_ok(node, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
    }
    for (number, node) in cluster.nodes.iter().enumerate() {
        expect_ok(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
    }
    for node in &cluster.nodes[1..] {
        cluster.introduce(node);
    }
    for (number, replica) in cluster.nodes.iter().enumerate().skip(3) {
        let master = id(&cluster.nodes[number - 3]);
        let asked = || redis_cli(replica.address(), &["CLUSTER", "REPLICATE", &master]);
        eventually("the replica knows its master", || asked() == "OK");
    }
    cluster.expect_whole();
    for replica in cluster.nodes.iter().skip(3) {
        let info = || redis_cli(replica.address(), &["INFO", "replication"]);
        eventually("the replica follows", || info().contains("master_link_status:up"));
    }
    cluster
}

/// A node of a cluster that is still to be.
#[track_caller]
fn cluster_node(common: &Options) -> Redis {
    common.redis(&[
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "1000",
        "--cluster-require-full-coverage",
        "no",
    ])
}

impl RedisCluster {
    /// Its URL: one that is nobody, and two of the nodes.
    pub fn url(&self) -> String {
        let [first, second] = [0, 1].map(|number| self.nodes[number].fleet_port());
        format!(
            "{}+cluster://127.0.0.1:{},127.0.0.1:{first},127.0.0.1:{second}",
            scheme(&self.nodes),
            free_port()
        )
    }

    /// Adds a node that has no slots.
    #[track_caller]
    pub fn add(&mut self) {
        let node = cluster_node(&self.options);
        self.introduce(&node);
        self.nodes.push(node);
        self.expect_whole();
    }

    /// The number of the node, of the masters at the beginning, that has the slot of this name.
    pub fn owner(&self, name: &str) -> usize {
        let slot: usize = self.slot(name).parse().unwrap();
        [5461, 10_923].iter().filter(|first| slot >= **first).count()
    }

    /// The slot of this name.
    pub fn slot(&self, name: &str) -> String {
        redis_cli(self.nodes[0].address(), &["CLUSTER", "KEYSLOT", name])
    }

    /// The names of what stands in a node.
    pub fn names(&self, node: usize, pattern: &str) -> Vec<String> {
        let said = redis_cli(self.nodes[node].address(), &["--scan", "--pattern", pattern]);
        said.lines().map(str::to_owned).collect()
    }

    /// Begins to move a slot, whatever stands in it, from one node to another; it is not moved before [`Self::finish_move`].
    #[track_caller]
    pub fn begin_move(&self, slot: &str, from: usize, to: usize) {
        let [from, to] = [from, to].map(|number| &self.nodes[number]);
        expect_ok(to, &["CLUSTER", "SETSLOT", slot, "IMPORTING", &id(from)]);
        expect_ok(from, &["CLUSTER", "SETSLOT", slot, "MIGRATING", &id(to)]);
    }

    /// Moves so much of what stands in a slot.
    #[track_caller]
    pub fn move_names(&self, slot: &str, from: usize, to: usize, count: usize) {
        let (port, count) = (self.nodes[to].port.to_string(), count.to_string());
        for name in redis_cli(self.nodes[from].address(), &["CLUSTER", "GETKEYSINSLOT", slot, &count]).lines()
        {
            expect_ok(&self.nodes[from], &["MIGRATE", "127.0.0.1", &port, name, "0", "5000"]);
        }
    }

    /// Moves what stands in a slot, and then the slot.
    #[track_caller]
    pub fn finish_move(&self, slot: &str, from: usize, to: usize) {
        self.move_names(slot, from, to, 1000);
        let id = id(&self.nodes[to]);
        for number in [to, from] {
            expect_ok(&self.nodes[number], &["CLUSTER", "SETSLOT", slot, "NODE", &id]);
        }
    }

    /// The number that a node tells of itself in a section of `INFO`; 0 where it says nothing of it.
    pub fn told(&self, node: usize, section: &str, name: &str) -> u64 {
        let said = redis_cli(self.nodes[node].address(), &["INFO", section]);
        let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.map(|line| line.trim_start_matches(|c: char| !c.is_ascii_digit()));
        number.map_or(0, |text| text.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap())
    }

    /// The connections of gateways to a node, each by its number.
    pub fn connections(&self, node: usize) -> Vec<String> {
        let said = redis_cli(self.nodes[node].address(), &["CLIENT", "LIST", "TYPE", "NORMAL"]);
        // Not that of the question, nor that of another node that has moved something.
        let is_of_gateway =
            |line: &&str| !["cmd=client|", "cmd=restore"].iter().any(|cmd| line.contains(cmd));
        said.lines().filter(is_of_gateway).map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }

    fn introduce(&self, node: &Redis) {
        let info = redis_cli(node.address(), &["CONFIG", "GET", "cluster-port"]);
        let bus = info.lines().nth(1).unwrap().to_owned();
        let port = node.fleet_port().to_string();
        expect_ok(&self.nodes[0], &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
    }

    /// Waits until every node says that all slots are served, and knows all others.
    #[track_caller]
    fn expect_whole(&self) {
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        for node in &self.nodes {
            eventually("the cluster is whole", || {
                let info = redis_cli(node.address(), &["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains(&known)
            });
        }
    }
}

/// What the servers of a fleet have in common.
struct Options(Vec<String>);

impl Options {
    fn new(authority: Option<&Authority>) -> Self {
        let of = |authority: &Authority| {
            let pair = authority.sign(&["redis.internal"]);
            let [cert, key, ca] =
                [pair.certificate, pair.key, authority.certificate()].map(|path| path.display().to_string());
            let files = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
            let rest = ["--tls-auth-clients", "no", "--tls-replication", "yes", "--tls-cluster", "yes"];
            files.into_iter().chain(rest).map(str::to_owned).collect()
        };
        Self(authority.map_or_else(Vec::new, of))
    }

    /// Those of one server, and its port for TLS.
    fn draw(&self) -> (Vec<String>, Option<u16>) {
        let port = (!self.0.is_empty()).then(free_port);
        let own = port.map(|port| ["--tls-port".to_owned(), port.to_string()]);
        (self.0.iter().cloned().chain(own.into_iter().flatten()).collect(), port)
    }

    #[track_caller]
    fn redis(&self, more: &[&str]) -> Redis {
        redis_at(|| {
            let ports = ["--port", "--cluster-port"].map(|name| [name.to_owned(), free_port().to_string()]);
            let (own, _) = self.draw();
            own.into_iter()
                .chain(ports.into_iter().flatten())
                .chain(more.iter().map(ToString::to_string))
                .collect()
        })
    }
}

fn scheme(servers: &[Redis]) -> &'static str {
    if servers[0].tls_port.is_some() { "rediss" } else { "redis" }
}

fn id(node: &Redis) -> String {
    redis_cli(node.address(), &["CLUSTER", "MYID"])
}

#[track_caller]
fn expect_ok(node: &Redis, command: &[&str]) {
    assert_eq!(redis_cli(node.address(), command), "OK", "{command:?}");
}
