//! Endpoints in DNS: the addresses of a name, or SRV records (RFC 2782) and the addresses of what they name.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gateway::config::values::Host;
use gateway::upstream::discovery::Lookup;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

use super::Pauses;
use super::report::{Found, MAX_WEIGHT, Report};
use crate::plain::plain;

/// Nobody is asked more often, whatever the TTL.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long a server may take to answer, and how often it is asked.
const PATIENCE: (Duration, usize) = (Duration::from_secs(2), 2);
/// SRV records that are heeded.
const MOST_TARGETS: usize = 256;

/// Every address of this name is an endpoint with this port.
pub(super) async fn addresses(name: &str, port: u16, lookup: &Lookup, report: &mut Report) {
    let mut pauses = Pauses::new();
    loop {
        let asked = match Asker::new(lookup) {
            Ok(asker) => asker.addresses(name).await,
            Err(why) => Err(why),
        };
        match asked {
            Ok(answer) => {
                let host = Host::parse(name);
                let found: Vec<Found> = answer
                    .value
                    .iter()
                    .map(|ip| Found {
                        name: host.clone(),
                        ..Found::at(SocketAddr::new(*ip, port).to_string())
                    })
                    .collect();
                rest(report.found(&found, false), answer.ttl, lookup, &mut pauses).await;
            }
            Err(why) => {
                report.failed(&format!("{name}: {}", plain(&why)));
                pauses.rest().await;
            }
        }
    }
}

/// The targets of the SRV records of this name are endpoints: those of the lowest priority number.
pub(super) async fn services(name: &str, lookup: &Lookup, report: &mut Report) {
    let mut pauses = Pauses::new();
    loop {
        let asked = match Asker::new(lookup) {
            Ok(asker) => asker.services(name).await,
            Err(why) => Err(why),
        };
        match asked {
            Ok(answer) => rest(report.found(&answer.value, false), answer.ttl, lookup, &mut pauses).await,
            Err(why) => {
                report.failed(&format!("{name}: {}", plain(&why)));
                pauses.rest().await;
            }
        }
    }
}

/// Until the answer has to be asked for again; for a shorter time when it was not believed.
async fn rest(is_believed: bool, ttl: Duration, lookup: &Lookup, pauses: &mut Pauses) {
    if !is_believed {
        return pauses.rest().await;
    }
    pauses.reset();
    tokio::time::sleep(ttl.min(lookup.every).max(SHORTEST)).await;
}

/// What was answered, and for how long it is good.
struct Answer<T> {
    value: T,
    ttl: Duration,
}

/// Asks once; the next time the system may have other servers and other hosts.
struct Asker {
    ipv4: TokioResolver,
    ipv6: TokioResolver,
}

impl Asker {
    fn new(lookup: &Lookup) -> Result<Self, String> {
        let of = |strategy| resolver(lookup, strategy).map_err(|error| error.to_string());
        Ok(Self { ipv4: of(LookupIpStrategy::Ipv4Only)?, ipv6: of(LookupIpStrategy::Ipv6Only)? })
    }

    /// All addresses of a name. When one kind cannot be asked for, those of the other are not all.
    async fn addresses(&self, name: &str) -> Result<Answer<Vec<IpAddr>>, String> {
        let (ipv4, ipv6) = tokio::join!(self.ipv4.lookup_ip(name), self.ipv6.lookup_ip(name));
        let mut answer = Answer { value: Vec::new(), ttl: Duration::MAX };
        let mut refused = None;
        for asked in [ipv4, ipv6] {
            match asked {
                Ok(found) => {
                    answer.value.extend(found.iter());
                    answer.ttl = answer.ttl.min(ttl(found.as_lookup().answers()));
                }
                Err(error) if error.is_no_records_found() => {}
                // Some servers refuse to speak of a kind that they know no records of.
                Err(
                    error @ NetError::Dns(DnsError::ResponseCode(
                        ResponseCode::Refused | ResponseCode::NotImp,
                    )),
                ) => {
                    refused = Some(error);
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        match refused {
            Some(error) if answer.value.is_empty() => Err(error.to_string()),
            _ => Ok(answer),
        }
    }

    async fn services(&self, name: &str) -> Result<Answer<Vec<Found>>, String> {
        let found = match self.ipv4.lookup(name, RecordType::SRV).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() => {
                return Ok(Answer { value: Vec::new(), ttl: Duration::MAX });
            }
            Err(error) => return Err(error.to_string()),
        };
        let records: Vec<&SRV> = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(service) => Some(service),
                _ => None,
            })
            .collect();
        let mut answer = Answer { value: Vec::new(), ttl: ttl(found.answers()) };
        for (service, weight) in weighed(&records) {
            let target = service.target.to_utf8();
            let name = Host::parse(target.trim_end_matches('.'));
            let addresses = self.addresses(&target).await?;
            answer.ttl = answer.ttl.min(addresses.ttl);
            answer.value.extend(addresses.value.iter().map(|ip| Found {
                weight,
                name: name.clone(),
                ..Found::at(SocketAddr::new(*ip, service.port).to_string())
            }));
        }
        Ok(answer)
    }
}

fn resolver(lookup: &Lookup, strategy: LookupIpStrategy) -> Result<TokioResolver, NetError> {
    let builder = match lookup.server {
        None => TokioResolver::builder_tokio()?,
        Some(server) => {
            let at = |mut connection: ConnectionConfig| {
                connection.port = server.port();
                connection
            };
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(at);
            let server = NameServerConfig::new(server.ip(), true, connections.into());
            let config = ResolverConfig::from_name_servers(vec![server]);
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let mut builder = builder;
    let options: &mut ResolverOpts = builder.options_mut();
    options.ip_strategy = strategy;
    options.cache_size = 0;
    (options.timeout, options.attempts) = PATIENCE;
    // The TTL of an alias counts too.
    options.preserve_intermediates = true;
    builder.build()
}

/// For how long all of these are good.
fn ttl(records: &[Record]) -> Duration {
    let shortest = records.iter().map(|record| record.ttl).min();
    shortest.map_or(Duration::MAX, |seconds| Duration::from_secs(seconds.into()))
}

/// The records of the lowest priority number, each with its weight among them. A weight of 0 is for a very small share, not
/// for none; a target of `.` says that there is no such service here.
fn weighed<'r>(records: &[&'r SRV]) -> Vec<(&'r SRV, u32)> {
    let first = records.iter().map(|record| record.priority).min();
    let group: Vec<&SRV> = records
        .iter()
        .filter(|record| Some(record.priority) == first && !record.target.is_root())
        .take(MOST_TARGETS)
        .copied()
        .collect();
    let largest = group.iter().map(|record| u32::from(record.weight)).max().unwrap_or_default();
    let scaled = |weight: u32| if largest > MAX_WEIGHT { weight * MAX_WEIGHT / largest } else { weight };
    group.into_iter().map(|record| (record, scaled(record.weight.into()).max(1))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> SRV {
        SRV::new(priority, weight, 80, target.parse().unwrap())
    }

    #[test]
    fn the_lowest_priority_number_comes_first_and_weights_are_scaled() {
        for (records, expected) in [
            (
                vec![record(1, 10, "a."), record(2, 99, "b."), record(1, 30, "c.")],
                vec![("a.", 10), ("c.", 30)],
            ),
            (vec![record(1, 0, "a."), record(1, 0, "b.")], vec![("a.", 1), ("b.", 1)]),
            (vec![record(1, 0, "a."), record(1, 65_535, "b.")], vec![("a.", 1), ("b.", 1000)]),
            (vec![record(0, 0, ".")], vec![]),
        ] {
            let records: Vec<&SRV> = records.iter().collect();
            let weighed: Vec<_> = weighed(&records)
                .into_iter()
                .map(|(record, weight)| (record.target.to_utf8(), weight))
                .collect();
            let expected: Vec<_> =
                expected.into_iter().map(|(name, weight)| (name.to_owned(), weight)).collect();
            assert_eq!(weighed, expected);
        }
    }
}
