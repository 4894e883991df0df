//! The whole language, as the contract with the user shows it: what is not served yet is said, key by key, and nothing else.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use gateway::config::{self, Surroundings};

#[test]
fn the_reference_parses_and_complains_only_of_later_keys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference.yaml");
    if !path.exists() {
        eprintln!("skipped: the contract is not beside this repository");
        return;
    }
    let surroundings = Surroundings::new(path.parent().unwrap(), |name| {
        let known = ["TOLLGATE_ADMIN_TOKEN", "MOB_RW_SECRET", "IDP_SECRET", "OIDC_SECRET"];
        known.contains(&name).then(|| "a secret of some length".to_owned())
    });
    let faults = config::load_from(&path, surroundings).unwrap_err();
    println!("{}", faults.render(false));
    // It shows a canary of three versions of a service without showing those.
    let is_expected = |code: &str| ["not_supported_yet", "unknown_service"].contains(&code);
    let others: Vec<_> = faults.list().into_iter().filter(|fault| !is_expected(fault.code)).collect();
    let unknown = faults.list().into_iter().filter(|fault| fault.code == "unknown_service").count();
    assert_eq!(unknown, 3, "`products-v1` to `products-v3`");
    assert!(others.is_empty(), "{others:#?}");
    assert!(faults.list().len() > 20);
    assert!(faults.list().iter().all(|fault| faults.position(fault).0 > 1));
}
