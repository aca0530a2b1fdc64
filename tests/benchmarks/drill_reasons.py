"""Why a poison is let through today, by its name: what docs/drill.md says beside it."""

from __future__ import annotations

REASONS: dict[str, str] = {
    "splits-test-questions-in-train": (
        "the demo's world has so few wordings that five of six harm questions of the test stand in train on honest "
        "nights too, so its suite only warns (`expectations/demo/dataset.yaml`); with the suite as shipped the limit "
        "of 5 % is critical."
    ),
    "labels-domain-moved-first-night": (
        "a harmful domain that is listed under another one stays harmful: questions, judgements and pairs are as good "
        "as before, only slices are named wrongly. On later nights images that changed their class stop it "
        "(`num_missing_classes`, `relabelled_share`)."
    ),
    "images-leaf-floods-first-night": (
        "each of the leaf's six images comes fifty times, 8 % of the harmful images each, and the leaf is half of them: "
        "under the limits of 10 % and 60 % in `expectations/images.yaml`. The copies are found and kept together, and "
        "the model is as safe and helpful as before. Later nights see the drift."
    ),
    "pairs-texts-leaf": (
        "the two texts of one leaf's pairs, 2 % of all, change places behind the check of `preferences`, and the labels "
        "that the dataset's check reads do not: somebody wrote into the store. The gate finds the model as safe and "
        "as helpful as before. At 20 % of the images the gate stops it."
    ),
    "candidate-backdoor": (
        "no held-out prompt and no benchmark holds the phrase: a gate that asks questions cannot find what is never "
        "asked. A trigger that came in by the data is looked for there (`num_trigger_phrases` of `preferences`)."
    ),
}
