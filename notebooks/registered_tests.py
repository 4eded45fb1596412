# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Registered tests
#
# **Which of the book's claims were written down before their data were looked at, and which of them held?**

# %% tags=["parameters"]
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds results/; empty means the project

# %% tags=["remove-cell"]
import pandas as pd
from IPython.display import Markdown, display

from companion.pages import boxes, claim_texts, tables, texts
from companion.worth import registered

content = registered.registration()
questions = content["questions"]
table = registered.verdicts(content, data_root=data_root or None, out=out or None)
searched = {target: old for found in table["judged"].dropna() for target, old in found.searched.items()}

# %% tags=["remove-input"]
display(
    boxes.in_short(
        {
            "Answer": claim_texts.answer(table),
            "Evidence": f"Registered on {content['date']}, at commit `{content['commit']}`; corrected by {content['correction'].partition(',')[0]} over {len(questions)} questions.",
            "Caveat": f"{len(content['looked_at'])} sets of nuclei were looked at while the scores were made, and judge nothing here.\n"
            + claim_texts.partly_searched(searched),
        }
    )
)

# %% tags=["remove-input"]
shown = pd.DataFrame(
    {
        "verdict": table["verdict"],
        "difference of τ-b": table["difference"],
        "p": table["p"],
        "corrected": table["corrected"],
    }
)
tables.plain_table(
    shown, "question", {"difference of τ-b": "{:+.2f}", "p": texts.p_number, "corrected": texts.p_number}
)

# %% [markdown]
# The difference is the smallest over the rivals, and p the largest.
# The whole registration, with the test and the rule for targets, is in [Registered questions](../registered.md).

# %% tags=["remove-input"]
parts = []
for name, question in questions.items():
    said = (question["question"], claim_texts.asked(question), claim_texts.result(question, table.loc[name]))
    parts.append("\n\n".join([f"## {name}", *said]) + "\n")
Markdown("\n".join(parts))

# %% [markdown]
# ## What to do with this
#
# - Trust a score as far as its row above says, and read every other number of this book as a description of the sets it was made on.
# - Judge the open questions on sets of your own: put them into a folder and run `make study STUDY=held-out TTE_DATA=FOLDER`, then this page again.

# %% tags=["remove-cell", "nbval-check-output"]
for name, row in table.iterrows():
    print(f"{name:24s} {row['verdict']}")
