// How the search of the book weighs a hit: pages on phantoms come after those on real images.
var Scorer = {
  score: ([docname, title, anchor, descr, score]) =>
    docname.includes("phantom") ? score - 100 : docname.endsWith("/which_model") ? score + 5 : score,
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
