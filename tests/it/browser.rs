//! The page of a rehearsal in a real browser: it loads without a network or an error, and can be
//! filtered, sorted and opened with the keyboard, read by a screen reader, on a small screen, in
//! the dark, on paper and without its script.

mod devtools;

use std::fs;
use std::path::Path;

use base64::Engine;
use doorward::report::simulate::html;
use serde_json::{Value, json};

use crate::reports::{made, with};
use devtools::{Browser, find};

/// What every control must have.
const CONTROLS: [&str; 10] = [
    "button",
    "link",
    "textbox",
    "searchbox",
    "checkbox",
    "combobox",
    "table",
    "region",
    "DisclosureTriangle",
    "columnheader",
];

/// Text that cannot be read against its ground: the WCAG 2 formula over every text of the page.
const UNREADABLE: &str = r"(() => {
  const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return [m[0], m[1], m[2], m[3] ?? 1]; };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const light = (c) => [0, 1, 2].map((i) => c[i] / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    const layers = [];
    for (; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255, 1]);
  };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.getClientRects().length || e.closest('.hidden, .skip, script, title')) continue;
    const style = getComputedStyle(e);
    const back = ground(e.closest('svg') ? e.closest('svg').parentElement : e);
    const front = over(parse(e.closest('svg') ? style.fill : style.color), back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${e.tagName}.${e.className} ${e.textContent.slice(0, 30)}`);
  }
  return found;
})()";

const SHOWN: &str = "Array.from(document.querySelectorAll('tbody.event')).filter((e) => !e.hidden).length";

/// The browser; none where there is none and none is required.
fn browser() -> Option<Browser> {
    let Some(program) = find() else {
        assert!(!crate::elsewhere::is_required("DOORWARD_BROWSER"), "there is no Chromium: `apt-get install chromium`");
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("SKIPPED: there is no Chromium on this machine, and the page is not looked at");
        }
        return None;
    };
    Some(Browser::start(&program))
}

/// Writes a page beside the screenshots, and says under which URL it is.
fn write(name: &str, page: &str) -> String {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, page).unwrap();
    format!("file://{}", file.display())
}

fn shot(browser: &mut Browser, name: &str) {
    let result = browser.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
    let data = base64::engine::general_purpose::STANDARD.decode(result["data"].as_str().unwrap()).unwrap();
    assert!(data.len() > 10_000, "{name} is empty");
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), data).unwrap();
}

fn screen(browser: &mut Browser, width: u32, height: u32) {
    let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
    browser.call("Emulation.setDeviceMetricsOverride", metrics);
}

/// Fails for an error in the console, a refused style or script, a dialog, or any request but the page's own.
fn assert_quiet(told: &[Value]) {
    for one in told {
        let parameters = &one["params"];
        match one["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown"
            | "Runtime.consoleAPICalled"
            | "Log.entryAdded"
            | "Page.javascriptDialogOpening" => {
                panic!("{parameters}")
            }
            "Network.requestWillBeSent" => {
                let url = parameters["request"]["url"].as_str().unwrap();
                assert!(url.starts_with("file://") && parameters["type"] == "Document", "{url} is asked for");
            }
            _ => {}
        }
    }
}

#[test]
fn the_page_works_with_a_keyboard_and_asks_for_nothing() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    screen(browser, 1280, 900);
    let page = with(&made("recording.jsonl"), html);
    let url = write("rehearsal.html", &page);
    assert_quiet(&browser.load(&url));
    assert_eq!(browser.value("document.title"), "Rehearsal of policies.toml: the gate does not hold");

    // Folded, counted and ready.
    let all = browser.value(SHOWN).as_u64().unwrap();
    assert_eq!(all, 5);
    let folded = "Array.from(document.querySelectorAll('tr.why')).every((e) => e.hidden)";
    assert_eq!(browser.value(folded), true);
    assert_eq!(browser.value("document.querySelector('.controls').hidden"), false);
    shot(browser, "rehearsal-light.png");

    // Filter.
    browser.press("/");
    assert_eq!(browser.value("document.activeElement.id"), "filter");
    browser.call("Input.insertText", json!({ "text": "BEN desk:pay" }));
    assert_eq!(browser.value(SHOWN), 1);
    assert_eq!(browser.value("document.getElementById('shown-count').textContent"), format!("1 of {all} events"));
    browser.call("Input.insertText", json!({ "text": " nothing-like-it" }));
    assert_eq!(browser.value(SHOWN), 0);
    assert_eq!(browser.value("document.getElementById('no-events').hidden"), false);
    browser.press("Escape");
    assert_eq!(browser.value(SHOWN), all);
    browser.value("document.querySelector('.chip').focus()");
    browser.press(" ");
    let less = browser.value(SHOWN).as_u64().unwrap();
    assert!(less < all, "{less}");
    assert_eq!(browser.value("document.querySelector('.chip').getAttribute('aria-pressed')"), "false");
    browser.press(" ");
    assert_eq!(browser.value(SHOWN), all);

    // Sort by time.
    let times = "Array.from(document.querySelectorAll('tbody.event td.time')).map((e) => Number(e.dataset.v))";
    let head = "document.querySelectorAll('#event-table thead th')[1]";
    browser.value(&format!("{head}.querySelector('button').focus()"));
    for (sort, earlier_first) in [("ascending", true), ("descending", false)] {
        browser.press("Enter");
        assert_eq!(browser.value(&format!("{head}.getAttribute('aria-sort')")), sort);
        let list: Vec<i64> = serde_json::from_value(browser.value(times)).unwrap();
        let mut sorted = list.clone();
        sorted.sort_by_key(|time| if earlier_first { *time } else { -time });
        assert_eq!(list, sorted);
    }

    // Open an event, go to the next, close.
    browser.value("document.querySelector('tbody.event[data-kind=newly-denied] tr.head button').focus()");
    browser.press("Enter");
    let open = "document.activeElement.getAttribute('aria-expanded')";
    assert_eq!(browser.value(open), "true");
    let why = browser.value("document.getElementById(document.activeElement.getAttribute('aria-controls')).innerText");
    let why = why.as_str().unwrap();
    assert!(why.contains("What would allow it") && why.contains("max = 30"), "{why}");
    shot(browser, "rehearsal-open.png");
    browser.press("ArrowDown");
    assert_eq!(browser.value(open), "false");
    browser.press("ArrowUp");
    assert_eq!(browser.value(open), "true");
    browser.press("Escape");
    assert_eq!(browser.value(open), "false");

    // The theme, by its button and by the system.
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = browser.value(ground);
    browser.value("document.getElementById('theme').focus()");
    browser.press("Enter");
    assert_ne!(browser.value(ground), light);
    browser.press("Enter");
    assert_eq!(browser.value(ground), light);
    assert_quiet(&browser.told());
}

#[test]
fn the_page_can_be_read_by_everyone() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    screen(browser, 1280, 900);
    let url = write("rehearsal-read.html", &with(&made("recording.jsonl"), html));
    for scheme in ["light", "dark"] {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        browser.call("Emulation.setEmulatedMedia", json!({ "features": features }));
        assert_quiet(&browser.load(&url));
        browser.value("document.querySelectorAll('details').forEach((d) => { d.open = true; })");
        browser.value("document.querySelectorAll('tr.head button').forEach((b) => b.click())");
        assert_eq!(browser.value(UNREADABLE), json!([]), "{scheme}");
        shot(browser, &format!("rehearsal-all-{scheme}.png"));
    }

    // What a screen reader is told.
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let nodes: Vec<(&str, &str)> = tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["ignored"] != true)
        .map(|node| (node["role"]["value"].as_str().unwrap_or(""), node["name"]["value"].as_str().unwrap_or("")))
        .collect();
    for role in ["banner", "main", "contentinfo", "table", "searchbox", "button", "status"] {
        assert!(nodes.iter().any(|(found, _)| *found == role), "no {role}");
    }
    for (role, name) in nodes.iter().filter(|(role, _)| CONTROLS.contains(role)) {
        assert!(!name.trim().is_empty(), "a {role} has no name");
    }
    assert_eq!(browser.value("document.querySelectorAll('h1').length"), 1);
    let heads = "Array.from(document.querySelectorAll('th')).every((e) => e.scope === 'col' || e.scope === 'row')";
    assert_eq!(browser.value(heads), true);
    let twice = "(() => { const ids = Array.from(document.querySelectorAll('[id]')).map((e) => e.id); return ids.length - new Set(ids).size; })()";
    assert_eq!(browser.value(twice), 0);

    // The narrowest screen that must do: nothing is cut off at its side.
    browser.call("Emulation.setEmulatedMedia", json!({ "features": [] }));
    screen(browser, 320, 800);
    assert_quiet(&browser.load(&url));
    assert_eq!(browser.value("document.documentElement.scrollWidth"), 320);
    shot(browser, "rehearsal-narrow.png");

    // On paper everything is unfolded.
    screen(browser, 800, 1000);
    browser.call("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    let printed =
        "Array.from(document.querySelectorAll('tr.why')).every((e) => getComputedStyle(e).display !== 'none')";
    assert_eq!(browser.value(printed), true);
    shot(browser, "rehearsal-print.png");

    // Without its script everything is there.
    browser.call("Emulation.setEmulatedMedia", json!({ "media": "" }));
    browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    browser.load(&url);
    shot(browser, "rehearsal-without-script.png");
    let text = browser.call("DOM.getDocument", json!({ "depth": 0 }));
    assert!(text["root"]["nodeId"].is_u64());
    let shown =
        browser.value("Array.from(document.querySelectorAll('tr.why')).every((e) => e.getClientRects().length > 0)");
    assert_eq!(shown, true);
}

#[test]
fn hostile_names_stay_names_in_a_browser() {
    let Some(mut browser) = browser() else { return };
    let browser = &mut browser;
    let name = "</script><script>window.taken = 1</script><img src=https://evil.example/x.png onerror=\"window.taken = 2\">\
                \u{2028}\u{202e}' onfocus=window.taken=3 autofocus <style>body{display:none}</style><!--";
    let url = write("rehearsal-hostile.html", &with(&made(name), html));
    assert_quiet(&browser.load(&url));
    browser.value("document.querySelectorAll('tr.head button').forEach((b) => b.click())");
    assert_eq!(browser.value("typeof window.taken"), "undefined");
    assert_eq!(browser.value("document.images.length + document.scripts.length"), 1);
    assert_eq!(browser.value("document.body.innerText.includes('window.taken = 1')"), true);
    assert_quiet(&browser.told());
}
