// Deep links: `#module=layer1.0` chooses a module, in the table and in the icicle.

function readLink() {
  const match = /^#(?:\d+:)?module=(.*)$/.exec(location.hash);
  if (!match) return null;
  try {
    return decodeURIComponent(match[1]);
  } catch {
    return null;
  }
}

function writeLink(path) {
  const hash = path ? `#module=${encodeURIComponent(path)}` : location.pathname.split('/').pop();
  history.replaceState(null, '', hash);
}
