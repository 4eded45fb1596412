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
# # Guarantees
#
# **Does a broken or hostile file ever end in a wrong image, a wrong weight, or in code being run?**
#
# A wrong pixel is worse than an error: it ranks models on images that do not exist.
# So every reader was given files made to break it: cut short, emptied, overwritten, with single bytes inverted, under strange names, in odd shapes; checkpoints that run commands when opened, bank files with YAML tags, archives that write outside their folder.

# %% tags=["parameters"]
examples = 3  # attempts of each kind in the folded list

# %% tags=["remove-cell"]
from IPython.display import Markdown

from companion.analysis import guarantees
from companion.pages import tables

record = guarantees.recorded()
table = guarantees.counts(record)
total = table.loc["all"]
wrong = record[record["ending"] == guarantees.WRONG]
inverted = record[record["attempt"].str.endswith("inverted")]
by_kind = guarantees.counts(inverted).drop(index="all")
unseen = by_kind[by_kind["changed and unseen"] > 0]
seen = by_kind[by_kind["changed and unseen"] == 0]

# %% tags=["remove-input"]
Markdown(
    (
        f"**Of {total['tried']} files none did, as far as anything in a file gives it away.**\n"
        if wrong.empty
        else f"**Of {total['tried']} files {len(wrong)} did; they are listed below.**\n"
    )
    + f"{total['read right']} were read right and {total['refused in one line']} were refused in one line that names the file."
    + (
        f"\nThe other {total['changed and unseen']} hold a changed value that nothing in the file gives away: the section on what cannot be found names their kinds."
        if total["changed and unseen"]
        else ""
    )
)

# %% [markdown]
# ## What was tried
#
# - **Read right**: the values are those of the undamaged file.
# - **Refused in one line**: an error of `tte` that names the file; nothing is left behind and no code of the file is run.
# - **Changed and unseen**: an inverted byte in a place that no checksum covers; what is read is what the file says.
# - **Wrong**: a traceback, a hang of a minute, a file left behind, a wrong value, or code that was run.

# %% tags=["remove-input"]
tables.plain_table(table, "kind", "{:d}")

# %% tags=["remove-input"]
Markdown(
    "No attempt ended wrong."
    if wrong.empty
    else "\n".join(f"- {row.kind}, {row.attempt}: {row.what}" for row in wrong.itertuples())
)

# %% [markdown]
# ## What cannot be found

# %% tags=["remove-input"]
Markdown(
    f"One byte was inverted in {len(inverted)} files.\n"
    + (f"It never went unseen in {'; '.join(seen.index)}.\n" if len(seen) else "")
    + (
        f"It went unseen in some places of {'; '.join(unseen.index)}.\n"
        "Such files store values without a checksum, so a changed one looks like any other; no reader can tell."
        if len(unseen)
        else ""
    )
)

# %% [markdown]
# ## Some attempts of each kind
#
# The whole list is `results/guarantees.csv`.

# %% tags=["hide-output", "remove-input"]
tables.plain_table(
    record.groupby("kind", sort=False).head(examples).set_index("kind")[["attempt", "ending"]], "kind", "{}"
)

# %% [markdown]
# ## What to do with this
#
# - Keep images in a format with a checksum (PNG, deflate TIFF, `.nii.gz`, HDF5 with `fletcher32`), and compare the SHA-256 of everything else with its source after a copy.
# - Take an error of `tte` at its word: the file that it names is not what its name says.
# - `make guarantees` repeats every attempt and writes the table anew; `make test-slow` damages the same files in six times as many places.

# %% tags=["remove-cell", "nbval-check-output"]
print(table.to_string())
