//! Redis of several servers: a master with its replica and three sentinels, and a cluster. Each ends with the scene.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::peers::Peer;
use crate::transport::await_port;
use crate::{Redis, eventually, free_port, redis_cli, redis_with};

/// A master, a replica, and three sentinels that watch them. The sentinels want a password.
pub struct SentinelRedis {
    /// The first master, and the one that takes its place.
    pub servers: [Redis; 2],
    sentinels: Vec<(Peer, TempDir, u16)>,
}

/// The password of the sentinels.
const SENTINEL_PASSWORD: &str = "a word for sentinels";

/// A master `mymaster`, its replica and its sentinels, which know each other.
#[track_caller]
pub fn sentinel_redis() -> SentinelRedis {
    let master = redis_with(&[]);
    let replica = redis_with(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let info = || redis_cli(replica.address(), &["INFO", "replication"]);
    eventually("the replica follows", || info().contains("master_link_status:up"));
    let start = |_| {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nrequirepass \"{SENTINEL_PASSWORD}\"\n\
             sentinel sentinel-pass \"{SENTINEL_PASSWORD}\"\nsentinel monitor mymaster 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 2000\n",
            folder.path().display(),
            master.port,
        );
        let file = folder.path().join("sentinel.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null());
        let peer = Peer::start(&mut command);
        await_port("redis-server", port);
        (peer, folder, port)
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
        let places: Vec<_> = self.sentinels.iter().map(|(.., port)| format!("127.0.0.1:{port}")).collect();
        format!(
            "redis: 'redis+sentinel://127.0.0.1:{},{}/mymaster', sentinel_password: {SENTINEL_PASSWORD}",
            free_port(),
            places.join(",")
        )
    }

    fn ask_sentinel(&self, number: usize, command: &[&str]) -> String {
        let address: SocketAddr = ([127, 0, 0, 1], self.sentinels[number].2).into();
        redis_cli(address, &[&["--no-auth-warning", "-a", SENTINEL_PASSWORD], command].concat())
    }
}

/// Masters that have the slots among them, in thirds, and a replica of each.
pub struct RedisCluster {
    /// The masters as they were at the beginning, then their replicas.
    pub nodes: Vec<Redis>,
}

/// A Redis Cluster of three masters, and as many replicas where it is to have some. It takes a second until one that is gone is missed, and the
/// others go on without it.
#[track_caller]
pub fn redis_cluster(has_replicas: bool) -> RedisCluster {
    let cluster =
        RedisCluster { nodes: (0..if has_replicas { 6 } else { 3 }).map(|_| cluster_node()).collect() };
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
fn cluster_node() -> Redis {
    let bus = free_port().to_string();
    let options = [
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "1000",
        "--cluster-require-full-coverage",
        "no",
    ];
    redis_with(&[&options[..], &["--cluster-port", &bus]].concat())
}

impl RedisCluster {
    /// Its URL: one that is nobody, and two of the nodes.
    pub fn url(&self) -> String {
        let [first, second] = [0, 1].map(|number| self.nodes[number].address());
        format!("redis+cluster://127.0.0.1:{},{first},{second}", free_port())
    }

    /// Adds a node that has no slots.
    #[track_caller]
    pub fn add(&mut self) {
        let node = cluster_node();
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

    /// Moves what stands in a slot, and then the slot.
    #[track_caller]
    pub fn finish_move(&self, slot: &str, from: usize, to: usize) {
        let port = self.nodes[to].port.to_string();
        for name in redis_cli(self.nodes[from].address(), &["CLUSTER", "GETKEYSINSLOT", slot, "1000"]).lines()
        {
            expect_ok(&self.nodes[from], &["MIGRATE", "127.0.0.1", &port, name, "0", "5000"]);
        }
        let id = id(&self.nodes[to]);
        for number in [to, from] {
            expect_ok(&self.nodes[number], &["CLUSTER", "SETSLOT", slot, "NODE", &id]);
        }
    }

    fn introduce(&self, node: &Redis) {
        let info = redis_cli(node.address(), &["CONFIG", "GET", "cluster-port"]);
        let bus = info.lines().nth(1).unwrap().to_owned();
        let port = node.port.to_string();
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

fn id(node: &Redis) -> String {
    redis_cli(node.address(), &["CLUSTER", "MYID"])
}

#[track_caller]
fn expect_ok(node: &Redis, command: &[&str]) {
    assert_eq!(redis_cli(node.address(), command), "OK", "{command:?}");
}
