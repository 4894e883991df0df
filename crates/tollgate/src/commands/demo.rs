//! `tollgate demo`: the gateway before three sample services, all in this process, with requests worth trying.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;

use clap::Args;
use tokio::runtime::{Builder, Runtime};

use super::Failure;
use crate::origin::Origin;
use crate::samples::{Sample, Samples};
use crate::serve::serve;
use crate::terminal;

/// Serve three sample services, and print requests worth trying
#[derive(Args)]
pub(crate) struct Demo {}

impl Demo {
    #[allow(clippy::unused_self)] // as the other commands
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        // Kept until the end: dropping the runtime ends the samples.
        let _samples = start_samples()?;
        let quickstart = Origin::Embedded { name: "quickstart.yaml", text: QUICKSTART };
        serve(quickstart, None, || terminal::show(WELCOME))
    }
}

/// Starts every endpoint that the quickstart names, or none.
fn start_samples() -> Result<Runtime, Failure> {
    // Tried here, where a taken port can be explained; the gateway binds them later.
    for port in GATEWAY_PORTS {
        listen(port)?;
    }
    let cannot = |error: std::io::Error| Failure::new(format!("the sample services cannot start: {error}"));
    let listeners = ENDPOINTS
        .iter()
        .map(|&(sample, port)| Ok((sample, listen(port)?)))
        .collect::<Result<Vec<(Sample, TcpListener)>, Failure>>()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("samples")
        .enable_all()
        .build()
        .map_err(cannot)?;
    let samples = Samples::new();
    let entered = runtime.enter();
    for (sample, listener) in listeners {
        samples.start(sample, listener).map_err(cannot)?;
    }
    drop(entered);
    Ok(runtime)
}

fn listen(port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => Failure::new(format!(
            "port {port} is taken by another program\n\
             \n  The demo needs 8080, 9900 and 9001 to 9005 on 127.0.0.1. To see who has it:\n\n    \
             ss -ltnp 'sport = :{port}'"
        )),
        _ => Failure::new(format!("cannot listen on 127.0.0.1:{port}: {error}")),
    })
}

/// The listener and the admin listener of `examples/quickstart.yaml`.
const GATEWAY_PORTS: [u16; 2] = [8080, 9900];

/// Its endpoints.
const ENDPOINTS: [(Sample, u16); 5] = [
    (Sample::Users, 9001),
    (Sample::Users, 9002),
    (Sample::Orders, 9003),
    (Sample::Products, 9004),
    (Sample::Products, 9005),
];

const QUICKSTART: &str = include_str!("../../../../examples/quickstart.yaml");

const WELCOME: &str = "
  Tollgate stands before three sample services: users on ports 9001 and 9002, orders on 9003,
  products on 9004 and 9005. The configuration is examples/quickstart.yaml.

    gateway  http://127.0.0.1:8080
    admin    http://127.0.0.1:9900/metrics  /status  /healthz  /readyz

  Worth trying, from another terminal:

    curl -i http://127.0.0.1:8080/users/1                  # again: the endpoints take turns (X-Served-By)
    curl -i http://127.0.0.1:8080/shop/v1/products         # an old version says so: Deprecation, Sunset
    curl -i -A iPhone http://127.0.0.1:8080/hello          # a route for phones; without -A another one
    curl -i -X DELETE http://127.0.0.1:8080/orders         # 405, and what is allowed
    curl -i http://127.0.0.1:8080/accounts/1               # 401: it asks who calls
    curl -i -H 'X-API-Key: demo-ro.read' http://127.0.0.1:8080/accounts/1         # a key may read; PUT needs demo-rw.write
    curl -i 'http://127.0.0.1:8080/orders?delay=5s'        # too slow: 504 that names service and cause
    curl -s http://127.0.0.1:9900/metrics | grep requests_total  # what became of them all
    tollgate top --admin 127.0.0.1:9900                    # services and routes, live

  Each request is one line of JSON below. Ctrl-C ends it.

";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_the_endpoints_of_the_quickstart() {
        for (_, port) in ENDPOINTS {
            assert!(QUICKSTART.contains(&format!("http://127.0.0.1:{port}")), "{port}");
        }
        assert_eq!(QUICKSTART.matches("http://127.0.0.1:").count(), ENDPOINTS.len());
        for port in GATEWAY_PORTS {
            assert!(QUICKSTART.contains(&format!("127.0.0.1:{port}")), "{port}");
        }
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let failure = listen(port).unwrap_err().to_string();
        assert!(failure.starts_with(&format!("port {port} is taken by another program")), "{failure}");
    }
}
