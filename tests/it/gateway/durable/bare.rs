//! A machine without certificates, as an image from scratch may be: what speaks no TLS needs none.

use super::server::Server;
use super::{Answer, Caller, DOOR, Gateway, Place, books};
use crate::gateway::process::doorward;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_in_the_clear_needs_no_certificates_of_the_machine() {
    let server = Server::start();
    let vault = "[vault]\naddress = \"http://127.0.0.1:9\"\n[servers.locked]\nurl = \"http://127.0.0.1:9/mcp\"\n\
                 credential = { vault = \"kv\", path = \"tokens/locked\", policies = [\"locked\"], ttl = \"10m\" }\n\
                 [servers.locked.tools.enter]\n[[grants]]\nname = \"locked\"\nto = { groups = [\"clerks\"] }\n\
                 allow = [\"locked:enter\"]\n";
    let traces = "traces = \"http://127.0.0.1:9\"\n";
    let place = Place::new(&(books(&server, "sqlite:doorward.db") + vault)).await;
    let directory = place.directory.path();
    let nothing = directory.join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    let (file, folder) = (nothing.join("certificates.pem"), nothing.to_str().unwrap().to_owned());
    std::fs::write(&file, "").unwrap();
    let bare = [("SSL_CERT_FILE", file.to_str().unwrap()), ("SSL_CERT_DIR", folder.as_str()), ("VAULT_TOKEN", "x")];
    let policy = std::fs::read_to_string(directory.join("policies.toml")).unwrap();
    let policy = policy.replacen("[gateway]\n", &format!("[gateway]\n{traces}"), 1);
    std::fs::write(directory.join("policies.toml"), &policy).unwrap();

    // The issuer, the server, Vault and the receiver of traces are on this machine.
    let gateway = tokio::task::block_in_place(|| Gateway::start(directory, &bare));
    let caller = Caller::new(&place);
    let answer = caller.enter(gateway.0.address, 1).await;
    assert!(matches!(answer, Answer::Status(200, _)));
    let token = place.token("locked", "ana", "clerks", &["locked:enter"], 0);
    let Answer::Status(503, text) = (Caller { token, ..caller }).enter_at(gateway.0.address, "locked", 2).await else {
        panic!("there is no Vault")
    };
    assert!(text.contains("credential-unavailable"), "{text}");
    drop(gateway);

    // What is elsewhere needs them, and is not served without.
    let secure = policy.replacen(&format!("http://{}", server.address), "https://mcp.example.com", 1);
    assert_ne!(policy, secure);
    std::fs::write(directory.join("policies.toml"), secure).unwrap();
    let said = doorward().arg("serve").envs(bare).current_dir(directory).output().unwrap();
    let text = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(2), "{text}");
    assert!(text.contains("the certificates of this machine cannot be read") && text.contains("(tls-file)"), "{text}");
    assert!(text.contains(DOOR) || text.contains("ca_file"), "{text}");
}
