// Tabs, as the WAI-ARIA practices describe them: arrow keys move between them.

// Let `show` be called with the number of the tab that is chosen; return a function that chooses one.
function listenToTabs(show) {
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const choose = (chosen) => {
    tabs.forEach((tab, i) => {
      const isChosen = i === chosen;
      tab.setAttribute('aria-selected', isChosen);
      tab.tabIndex = isChosen ? 0 : -1;
      document.getElementById(tab.getAttribute('aria-controls')).hidden = !isChosen;
    });
    show(chosen);
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener('click', () => choose(i));
    tab.addEventListener('keydown', ({ key }) => {
      const next = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[key];
      if (next === undefined) return;
      const place = (next + tabs.length) % tabs.length;
      tabs[place].focus();
      choose(place);
    });
  });
  for (const button of document.querySelectorAll('[data-tab]')) {
    button.addEventListener('click', () => { choose(Number(button.dataset.tab)); scrollTo(0, 0); });
  }
  return (i) => choose(tabs[i] ? i : 0);
}
