//! Those who know where services are: etcd and a DNS server, both real; and a double of Consul, whose server no package
//! registry has.

mod consul;
mod dns;
mod etcd;

pub use consul::{ConsulDouble, Instance, consul_double};
pub use dns::{DnsServer, dns_server};
pub use etcd::{Etcd, etcd};
