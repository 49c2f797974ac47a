// Deep links: `#module=layer1.0` chooses a module, in the table and in the icicle; `#tab=2&module=layer1.0` in a tab.

function readLink() {
  const [, tab, module] = /^#(?:tab=(\d+)&?)?(?:module=(.*))?$/.exec(location.hash) ?? [];
  return { tab: Number(tab ?? 0), path: decoded(module) };
}

function decoded(text) {
  try {
    return text === undefined ? null : decodeURIComponent(text);
  } catch {
    return null;
  }
}

function writeLink(path, tab = 0) {
  const parts = [tab && `tab=${tab}`, path && `module=${encodeURIComponent(path)}`].filter(Boolean);
  history.replaceState(null, '', parts.length ? `#${parts.join('&')}` : location.pathname.split('/').pop());
}
