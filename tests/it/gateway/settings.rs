//! Where the gateway is, as the policy says it.

use doorward::policy::{Layers, load};
use doorward::report::{Style, human};

const REST: &str = "version = 1\n[issuers.corp]\nurl = \"https://login.example.com\"\n";

fn read(text: &str) -> doorward::policy::Loaded {
    let text = format!("{REST}{text}");
    load(&Layers { files: vec![("policies.toml".to_owned(), text.into())], environment: Vec::new() })
}

#[test]
fn what_cannot_be_is_reported_where_it_stands() {
    let loaded = read(
        r#"
[gateway]
admin = "8788"
tls = { certificate_file = "cert.pem" }
hosts = ["https://mcp.example.com"]
origins = ["https://app.example.com/page", "app.example.com"]
danger_plain_http = "yes"
[servers.tickets]
url = "http://127.0.0.1:9001/mcp"
environment = ["PATH"]
[servers.git]
command = ["mcp-server-git"]
environment = ["NODE=1"]
"#,
    );
    let mut problems = loaded.problems.clone();
    doorward::diagnostics::sort(&mut problems);
    insta::assert_snapshot!(human::check(&problems, &loaded.sources, Style::PLAIN));
}

#[test]
fn the_settings_of_the_gateway_are_part_of_the_digest_and_the_defaults_are_not() {
    let digest = |text: &str| read(text).policy.unwrap().compiled.digest().to_string();
    let server = "[servers.git]\ncommand = [\"mcp-server-git\"]\n";
    let plain = digest(server);
    assert_eq!(plain, digest(&format!("[gateway]\nhosts = []\ndanger_plain_http = false\n{server}")));
    assert_ne!(plain, digest(&format!("[gateway]\nhosts = [\"a\"]\n{server}")));
    assert_ne!(plain, digest(&format!("{server}environment = [\"A\"]\n")));
    let (one, other) =
        ("[gateway]\norigins = [\"http://a\", \"http://b\"]\n", "[gateway]\norigins = [\"http://b\", \"http://a\"]\n");
    assert_eq!(digest(&format!("{one}{server}")), digest(&format!("{other}{server}")));
}
