//! What runs in other people's pipelines: the steps of `action.yml` and the pre-commit hooks are run
//! here as a pipeline runs them, and the workflow that is offered to be copied is read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::place::{POLICY, Place};

fn yaml(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What an expression of the action may ask for.
struct Contexts {
    inputs: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
    github: BTreeMap<String, String>,
    temp: String,
}

impl Contexts {
    /// The value of `${{ NAME }}`, which is all that a variable may hold.
    fn value(&self, expression: &str) -> String {
        let inner = expression.strip_prefix("${{ ").and_then(|e| e.strip_suffix(" }}"));
        let name = inner.unwrap_or_else(|| panic!("{expression} is not one expression"));
        let known = match name.split_once('.').unwrap() {
            ("inputs", name) => return self.inputs[name].clone(),
            ("steps", output) => self.outputs.get(&output.replace(".outputs.", ".")),
            ("github", name) => self.github.get(name),
            ("runner", "temp") => Some(&self.temp),
            _ => panic!("{expression} asks for what no test gives"),
        };
        // What was never set is empty.
        known.cloned().unwrap_or_default()
    }
}

/// What a run of the action came to.
struct Outcome {
    code: i32,
    log: String,
    summary: String,
    outputs: BTreeMap<String, String>,
    reports: PathBuf,
    /// Removes the reports in the end.
    _held: tempfile::TempDir,
}

/// Runs the action in a checkout, as a runner does: each script in `bash -e -o pipefail`, with its
/// variables, and with files for its outputs.
fn act(checkout: &Place, base: &str, inputs: &[(&str, &str)]) -> Outcome {
    let action = yaml("action.yml");
    let held = tempfile::tempdir().unwrap();
    let temp = held.path().to_owned();
    let mut contexts = Contexts {
        inputs: BTreeMap::new(),
        outputs: BTreeMap::new(),
        github: [("event.pull_request.base.sha".to_owned(), base.to_owned())].into(),
        temp: temp.to_str().unwrap().to_owned(),
    };
    contexts.github.insert("action_path".to_owned(), "/the/action".to_owned());
    for (name, input) in action["inputs"].as_object().unwrap() {
        let default = text(&input["default"]);
        let default = if default.contains("${{") { contexts.value(default) } else { default.to_owned() };
        contexts.inputs.insert(name.clone(), default);
    }
    contexts.inputs.insert("doorward".to_owned(), env!("CARGO_BIN_EXE_doorward").to_owned());
    for (name, value) in inputs {
        assert!(contexts.inputs.insert((*name).to_owned(), (*value).to_owned()).is_some(), "no input {name}");
    }
    let summary = temp.join("summary.md");
    let mut outcome = Outcome {
        code: 0,
        log: String::new(),
        summary: String::new(),
        outputs: BTreeMap::new(),
        reports: temp.join("doorward-reports"),
        _held: held,
    };
    for (number, step) in action["runs"]["steps"].as_array().unwrap().iter().enumerate() {
        let Some(script) = step["run"].as_str() else { continue };
        let (file, output) = (temp.join(format!("{number}.sh")), temp.join(format!("{number}.out")));
        fs::write(&file, script).unwrap();
        fs::write(&output, "").unwrap();
        let mut command = checkout.program("bash");
        command.args(["--noprofile", "--norc", "-e", "-o", "pipefail"]).arg(&file);
        for (name, value) in step["env"].as_object().unwrap() {
            command.env(name, contexts.value(text(value)));
        }
        command.env("GITHUB_OUTPUT", &output).env("GITHUB_STEP_SUMMARY", &summary);
        let done = command.output().unwrap();
        outcome.log += &String::from_utf8_lossy(&done.stdout);
        outcome.log += &String::from_utf8_lossy(&done.stderr);
        for line in fs::read_to_string(&output).unwrap().lines() {
            let (name, value) = line.split_once('=').unwrap();
            contexts.outputs.insert(format!("{}.{name}", text(&step["id"])), value.to_owned());
        }
        outcome.code = done.status.code().unwrap();
        if outcome.code != 0 {
            break;
        }
    }
    for (name, output) in action["outputs"].as_object().unwrap() {
        outcome.outputs.insert(name.clone(), contexts.value(text(&output["value"])));
    }
    outcome.summary = fs::read_to_string(&summary).unwrap_or_default();
    outcome
}

const RECORDING: &str = r#"{"schema":"doorward.recording/v1","recorder":"test"}
{"time":1772456580,"door":"notes","method":"tools/call","name":"search","subject":{"issuer":"corp","sub":"a","groups":["guest"]},"token":{"aud":["http://127.0.0.1:8787/notes/mcp"],"scopes":["notes:search"],"iat":1772456520,"exp":1772460120},"absent":["/arguments","/subject/agent","/subject/claims","/token/nbf"]}
"#;

/// A repository whose first commit has the policy, a test of it, and a recording. Gives the commit.
fn checkout() -> (Place, String) {
    let place = Place::new();
    place.write("policies.toml", policy("staff"));
    place.write("recording.jsonl", RECORDING);
    place.git(&["init", "-q", "-b", "main"]);
    let commit = commit(&place);
    (place, commit)
}

fn policy(group: &str) -> String {
    let policy = POLICY.replace("\"staff\"]", &format!("\"{group}\"]"));
    format!(
        "{policy}[[tests]]\nname = \"found\"\nas = {{ groups = [\"{group}\"], scope = \"notes:search\" }}\n\
         allow = [\"notes:search\"]\n[rollout]\nrecordings = [\"*.jsonl\"]\nmax_newly_allowed = 0\n"
    )
}

fn commit(place: &Place) -> String {
    place.git(&["add", "-A"]);
    place.git(&["commit", "-q", "-m", "Change"]);
    let head = place.program("git").args(["rev-parse", "HEAD"]).output().unwrap();
    String::from_utf8(head.stdout).unwrap().trim().to_owned()
}

#[test]
fn no_script_holds_an_expression_and_what_is_used_is_pinned() {
    for name in ["action.yml", "examples/ci/pull-request.yml"] {
        let file = yaml(name);
        let jobs = file["jobs"].as_object().into_iter().flat_map(|jobs| jobs.values());
        let steps: Vec<&Value> =
            jobs.chain([&file["runs"]]).filter_map(|job| job["steps"].as_array()).flatten().collect();
        assert!(steps.len() > 4, "{name}");
        for step in steps {
            let script = text(&step["run"]);
            assert!(!script.contains("${{"), "{name}: {script}");
            assert_eq!(step["run"].is_string(), step["uses"].is_null(), "{name}: {step}");
            if let Some(used) = step["uses"].as_str().filter(|used| *used != "OWNER/doorward@COMMIT") {
                let commit = used.split_once('@').unwrap().1;
                assert!(commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{name}: {used}");
            }
        }
    }
    // A variable of this name would tell doorward itself what to do.
    let action = yaml("action.yml");
    for step in action["runs"]["steps"].as_array().unwrap() {
        let names = step["env"].as_object().into_iter().flat_map(|env| env.keys());
        assert!(names.into_iter().all(|name| !name.starts_with("DOORWARD_") && !name.starts_with("GITHUB_")));
    }
}

#[test]
fn what_a_step_asks_of_another_was_written_before() {
    let mut written: Vec<String> = Vec::new();
    let action = yaml("action.yml");
    let asked = |value: &Value| -> Vec<String> {
        let text = value.to_string();
        let names = text.split("steps.").skip(1).map(|rest| rest.split([' ', '"']).next().unwrap());
        names.filter(|name| name.contains(".outputs.")).map(|name| name.replace(".outputs.", ".")).collect()
    };
    for step in action["runs"]["steps"].as_array().unwrap() {
        for output in asked(step) {
            assert!(written.contains(&output), "{output} is asked for before it is written: {written:?}");
        }
        for name in ["binary", "reports", "policy", "why", "code", "sarif", "attestation", "result", "comment"] {
            if text(&step["run"]).contains(&format!("echo \"{name}=")) {
                written.push(format!("{}.{name}", text(&step["id"])));
            }
        }
    }
    assert!(asked(&action["outputs"]).iter().all(|output| written.contains(output)));
}

#[test]
fn the_page_lists_the_inputs_and_the_outputs() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci.md")).unwrap();
    let action = yaml("action.yml");
    for list in ["inputs", "outputs"] {
        for name in action[list].as_object().unwrap().keys() {
            assert!(page.contains(&format!("\n| `{name}` |")), "docs/ci.md does not list {name}");
        }
    }
}

#[test]
fn the_workflow_gives_no_job_more_than_it_needs() {
    let workflow = yaml("examples/ci/pull-request.yml");
    assert_eq!(workflow["permissions"], serde_json::json!({}));
    assert_eq!(workflow["jobs"]["judge"]["permissions"], serde_json::json!({ "contents": "read" }));
    assert_eq!(workflow["jobs"]["comment"]["permissions"], serde_json::json!({ "pull-requests": "write" }));
    // The job that may write checks nothing out.
    assert!(!workflow["jobs"]["comment"].to_string().contains("checkout"));
    let given = workflow["jobs"]["judge"]["steps"].as_array().unwrap().iter().find(|s| s["id"] == "doorward").unwrap();
    let inputs = yaml("action.yml")["inputs"].as_object().unwrap().clone();
    assert!(given["with"].as_object().unwrap().keys().all(|name| inputs.contains_key(name)));
}

#[test]
fn a_change_that_takes_nothing_and_gives_nothing_is_a_yes() {
    let (place, base) = checkout();
    place.write("policies.toml", format!("# the same\n{}", policy("staff")));
    let outcome = act(&place, &base, &[]);
    assert_eq!((outcome.code, outcome.outputs["result"].as_str()), (0, "yes"), "{}", outcome.log);
    let answers: Vec<&str> = outcome.summary.lines().filter(|line| line.starts_with("| ")).take(6).collect();
    insta::assert_snapshot!(answers.join("\n"), @r"
    | question | answer |
    | --- | --- |
    | check | yes |
    | test | yes |
    | diff | yes |
    | simulate | yes |
    ");
    assert_eq!(fs::read_to_string(&outcome.outputs["comment"]).unwrap(), outcome.summary);
    let mut reports: Vec<String> = fs::read_dir(&outcome.reports)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    reports.sort();
    insta::assert_snapshot!(
        reports.join(" "),
        @"check.sarif check.txt comment.md diff.txt simulate.html simulate.md simulate.sarif simulate.txt simulate.xml test.txt test.xml"
    );
    let junit = fs::read_to_string(outcome.reports.join("simulate.xml")).unwrap();
    assert!(junit.contains("<testsuite"), "{junit}");
}

#[test]
fn where_a_key_is_given_a_rehearsal_whose_gate_holds_is_attested() {
    let (place, base) = checkout();
    let key = place.path().join("attest.key");
    let made = Command::new(env!("CARGO_BIN_EXE_doorward")).args(["attest", "key"]).arg(&key).output().unwrap();
    assert!(made.status.success());
    let outcome = act(&place, &base, &[("attest-key", key.to_str().unwrap())]);
    assert_eq!(outcome.code, 0, "{}", outcome.log);
    assert_eq!(fs::read_to_string(&outcome.outputs["attestation"]).unwrap().split('.').count(), 3);
    place.write("policies.toml", policy("guest"));
    let outcome = act(&place, &base, &[("attest-key", key.to_str().unwrap())]);
    assert_eq!(
        (outcome.code, outcome.outputs.get("attestation").map_or("", String::as_str)),
        (1, ""),
        "{}",
        outcome.log
    );
}

#[test]
fn a_change_that_lets_recorded_guests_in_is_a_no_and_the_comment_says_who() {
    let (place, base) = checkout();
    place.write("policies.toml", policy("guest"));
    let outcome = act(&place, &base, &[("fail-on", "widen")]);
    assert_eq!((outcome.code, outcome.outputs["result"].as_str()), (1, "no"), "{}", outcome.log);
    for part in
        ["| diff | **no** |", "| simulate | **no** |", "| check | yes |", "notes:search", "<summary>diff</summary>"]
    {
        assert!(outcome.summary.contains(part), "{part} is not in\n{}", outcome.summary);
    }
    assert!(outcome.log.contains("::error"), "{}", outcome.log);
}

/// The job for GitLab on the page, run as GitLab runs it: line after line in one shell, up to the first no.
#[test]
fn the_job_for_gitlab_leaves_the_reports_that_it_names() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci.md")).unwrap();
    let block = page.split("```yaml\n").find(|block| block.contains("script:")).unwrap();
    let file: Value = serde_saphyr::from_str(block.split("```").next().unwrap()).unwrap();
    let job = &file["policy"];
    let lines: Vec<&str> = job["script"].as_array().unwrap().iter().map(text).collect();
    let binary = Path::new(env!("CARGO_BIN_EXE_doorward")).parent().unwrap();
    let run = |policy: &str| {
        let (place, base) = checkout();
        place.write("policies.toml", policy);
        let script = format!("set -e\nPATH=\"{}:$PATH\"\n{}", binary.display(), lines.join("\n"));
        let mut shell = place.program("sh");
        let done = shell.args(["-c", &script]).env("CI_MERGE_REQUEST_DIFF_BASE_SHA", base).output().unwrap();
        (place, done)
    };
    let (place, done) = run(&policy("staff"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for report in job["artifacts"]["reports"]["junit"].as_array().unwrap() {
        assert!(place.names().contains(&text(report).to_owned()), "{report}: {:?}", place.names());
    }
    let (_, done) = run(&policy("guest"));
    assert_eq!(done.status.code(), Some(1));
}

#[test]
fn steps_can_be_left_out_and_say_so() {
    let (place, base) = checkout();
    place.write("policies.toml", policy("guest"));
    let outcome = act(&place, &base, &[("skip", "diff simulate")]);
    assert_eq!(outcome.code, 0, "{}", outcome.log);
    assert!(outcome.summary.contains("| simulate | not run: left out |"), "{}", outcome.summary);
    let outcome = act(&place, "", &[("skip", "simulate")]);
    assert!(outcome.summary.contains("| diff | not run: there is no baseline |"), "{}", outcome.summary);
}

#[test]
fn what_cannot_be_judged_is_no_yes() {
    let (place, base) = checkout();
    for (policy, inputs) in [
        ("version = 1\n[serverz]\n".to_owned(), vec![]),
        (policy("staff"), vec![("recordings", "nowhere.jsonl")]),
        (policy("staff"), vec![("threshold", "many")]),
        (policy("staff"), vec![("policy", "elsewhere.toml")]),
        (policy("staff"), vec![("doorward", "/bin/false")]),
    ] {
        place.write("policies.toml", policy);
        let outcome = act(&place, &base, &inputs);
        assert!(outcome.code != 0 && outcome.outputs["result"] != "yes", "{inputs:?} {}", outcome.log);
    }
    let gone = act(&place, &"0".repeat(40), &[]);
    assert_ne!(gone.code, 0, "{}", gone.log);
}

#[test]
fn a_policy_that_is_new_has_nothing_to_compare_with() {
    let (place, base) = checkout();
    fs::rename(place.path().join("policies.toml"), place.path().join("new.toml")).unwrap();
    let outcome = act(&place, &base, &[("policy", "new.toml"), ("skip", "simulate")]);
    assert_eq!(outcome.code, 0, "{}", outcome.log);
    assert!(outcome.summary.contains("| diff | not run: the baseline has no such policy |"), "{}", outcome.summary);
}

#[test]
fn a_shallow_checkout_gets_its_baseline() {
    let (place, base) = checkout();
    place.write("policies.toml", policy("guest"));
    commit(&place);
    let clone = Place::new();
    let origin = format!("file://{}", place.path().display());
    place.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    clone.git(&["clone", "-q", "--depth=1", &origin, "work"]);
    let status = clone.program("git").args(["-C", "work", "cat-file", "-e", &base]).output().unwrap().status;
    assert!(!status.success(), "the clone is not shallow");
    let work = Place::at(clone.path().join("work"));
    let outcome = act(&work, &base, &[("fail-on", "any"), ("skip", "simulate")]);
    assert!(outcome.summary.contains("| diff | **no** |"), "{}\n{}", outcome.log, outcome.summary);
}

#[test]
fn nothing_that_is_handed_in_is_run() {
    let (place, base) = checkout();
    let evil = "$(touch pwned)`touch pwned`;touch pwned\"'\n|touch pwned&";
    for input in ["policy", "profile", "baseline", "recordings", "skip", "deny-warnings", "fail-on", "threshold"] {
        let outcome = act(&place, &base, &[(input, evil)]);
        assert!(!place.names().contains(&"pwned".to_owned()), "{input}: {}", outcome.log);
        assert!(!outcome.reports.join("pwned").exists());
    }
    // An option in the place of a value is a value.
    let outcome = act(&place, &base, &[("policy", "--help"), ("baseline", "--upload-pack=x")]);
    assert_ne!(outcome.code, 0, "{}", outcome.log);
}

#[test]
fn what_a_policy_says_is_no_markup_in_the_comment() {
    let (place, base) = checkout();
    let name = "</details> @everyone ![x](https://x.example) `";
    place.write("policies.toml", policy("guest").replace("name = \"staff\"", &format!("name = '{name}'")));
    let outcome = act(&place, &base, &[]);
    for line in outcome.summary.lines().filter(|line| line.contains(name)) {
        assert!(line.starts_with("    "), "{line}");
    }
    assert!(outcome.summary.contains(name), "{}", outcome.summary);
    assert!(outcome.summary.contains("## Rehearsal: the gate does not hold"), "{}", outcome.summary);
}

#[test]
fn the_comment_holds_what_a_comment_may_hold() {
    let (place, base) = checkout();
    let grants: String = (0..400)
        .map(|n| {
            format!("[[grants]]\nname = \"äöü-{n}\"\nto = {{ groups = [\"g{n}\"] }}\nallow = [\"notes:search\"]\n")
        })
        .collect();
    place.write("policies.toml", format!("{grants}\n{}", policy("guest")).replace("version = 1\n", ""));
    let text = fs::read_to_string(place.path().join("policies.toml")).unwrap();
    place.write("policies.toml", format!("version = 1\n{text}"));
    let outcome = act(&place, &base, &[]);
    assert!(outcome.summary.len() <= 65_536, "{} bytes", outcome.summary.len());
    assert!(outcome.summary.len() > 15_000, "{}", outcome.summary);
}

#[test]
fn without_a_binary_cargo_builds_what_was_asked_for() {
    let (place, base) = checkout();
    let bin = tempfile::tempdir().unwrap();
    // Stands for cargo: says what it was asked and puts the binary where it would be.
    let script = format!(
        "#!/bin/sh\necho \"cargo $*\"\nmkdir -p \"$4/bin\"\ncp '{}' \"$4/bin/\"\n",
        env!("CARGO_BIN_EXE_doorward")
    );
    let cargo = bin.path().join("cargo");
    fs::write(&cargo, script).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&cargo).status().unwrap().success());
    let mut path = std::ffi::OsString::from(bin.path());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let place = place.with_path(path);
    let built = act(&place, &base, &[("doorward", ""), ("skip", "diff simulate")]);
    assert!(built.code == 0 && built.log.contains("--path /the/action"), "{}", built.log);
    let released = act(&place, &base, &[("doorward", ""), ("version", "0.1.0"), ("skip", "diff simulate")]);
    assert!(released.code == 0 && released.log.contains("--version==0.1.0 doorward"), "{}", released.log);
}

#[test]
fn the_hooks_say_yes_to_a_good_policy_and_no_to_a_bad_one() {
    let hooks = yaml(".pre-commit-hooks.yaml");
    let hooks = hooks.as_array().unwrap();
    assert_eq!(hooks.len(), 2);
    let (place, _) = checkout();
    let bad = policy("staff").replace("allow = [\"notes:search\"]\n[rollout]", "deny = [\"notes:search\"]\n[rollout]");
    let unsound = policy("staff").replace("groups = [\"staff\"] }\nallow", "groups = [\"staff\"] }\nalow");
    for hook in hooks {
        assert_eq!((&hook["pass_filenames"], text(&hook["language"])), (&Value::Bool(false), "rust"));
        let words: Vec<&str> = text(&hook["entry"]).split(' ').collect();
        assert_eq!(words[0], "doorward");
        let run = |policy: &str| {
            place.write("policies.toml", policy);
            place.run(&words[1..]).code
        };
        assert_eq!(run(&policy("staff")), 0, "{words:?}");
        assert_eq!(run(&unsound), 2, "{words:?}");
        assert_eq!(run(&bad), i32::from(words[1] == "test"), "{words:?}");
    }
}
