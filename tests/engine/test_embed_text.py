"""The tokeniser: what it makes of prompts, and that this is what open_clip makes of them.

``python tests/engine/test_embed_text.py`` writes the golden tokens anew, from open_clip, when a text is added.
"""

import importlib.util
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestshot_trt.embed import text
from bestshot_trt.embed.text import END, START, Tokenizer, clean, convert_hub_tokenizer, write_tokenizer
from bestshot_trt.errors import ExportError, ModelUnavailable

TESTS = Path(__file__).resolve().parent.parent
GOLDEN = TESTS / "golden" / "tokens.json"
VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
SMALL = [("t", "h"), ("th", "e</w>"), ("w", "i"), ("wi", "d"), ("wid", "e</w>"), ("a", "a"), ("aa", "a</w>")]

TEXTS = [
    "",
    "   \t\n ",
    "a photo of a man",
    "well-lit interior wide shot",
    "A Drone Shot OVER the Coast, at GOLDEN HOUR!",
    "it's, I'LL, you're; we'd've 'tis rock'n'roll 's",
    "4K 60fps f/1.8 1/250s ISO100 ½ ² Ⅷ ٣ 三",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "snake_case --flag C++ #hashtag @name https://example.org/a?b=c&d=e $5.00 100%",
    "caf\u00e9 na\u00efve Z\u00fcrich \u00c5ngstr\u00f6m",
    "cafe\u0301 nai\u0308ve Zu\u0308rich A\u030angstro\u0308m",
    "STRASSE stra\u00dfe \u1e9e \u0130stanbul \u0131l\u0131k",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f44d\U0001f3fd",
    "\U0001f1eb\U0001f1ee\u2764\ufe0f\U0001f600\U0001f600\U0001f600",
    "\u591c\u306e\u6771\u4eac \uc11c\uc6b8\uc758 \ubc24 \u043d\u043e\u0447\u044c \u05dc\u05d9\u05dc\u05d4",
    "\u0644\u064a\u0644 \u0644\u0651\u064e",
    "\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e \u0928\u092e\u0938\u094d\u0924\u0947 \u10e5\u10d0\u10e0\u10d7",
    "x\u0345\u03b1\u0345 \u1fb3 \u1d2c\u24d0\u2160",
    "tom &amp; jerry &amp;amp; &lt;b&gt; &quot;hi&quot; &eacute; &#233; &#xD800; &amp;lt;",
    "\u00e2\u20ac\u0153quoted\u00e2\u20ac\u009d caf\u00c3\u00a9 \u00f0\u0178\u02dc\u20ac",
    "\uff26\uff35\uff2c\uff2c\u3000\uff57\uff49\uff44\uff54\uff48 \ufb01ne \u2018smart\u2019 \u201cquotes\u201d\u2026",
    "zero\u200bwidth\u200djoin\ufeff soft\u00adhyphen right\u200eto\u200fleft no\u00a0break",
    "tab\tnew\nline\r\nform\x0cfeed\x0bvertical\x1c\x1d\x1e\x1f\x85 \x00\x01\x7f bell\x07",
    "half \ud83d and \ude00 pair",
    START,
    f"before {START} between {END} after",
    f"glued{END}!{END}x &lt;start_of_text&gt; <START_OF_TEXT> <\u017ftart_of_text>",
    "'\u017f \u212aelvin \u212b",
    "a sharp photo of a person looking at the camera " * 25,
    "x" * 2000,
    "\U0001f4a9" * 200,
    "!?" * 300,
    "1234567890" * 20,
]


def helper(name):
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    module = sys.modules.setdefault(name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def theirs():
    """open_clip's tokeniser as ``texts -> int64 (n, 77)``."""
    tokenizer = helper("open_clip_here").open_clip().get_tokenizer("ViT-B-32")
    return lambda texts: tokenizer(texts).numpy()


@pytest.fixture(scope="module")
def vocabulary(request):
    """CLIP's vocabulary, from an installed open_clip or else the folder of model fixtures."""
    spec = importlib.util.find_spec("open_clip")
    if spec is not None:
        return Path(spec.origin).parent / VOCABULARY
    path = request.getfixturevalue("media").parent / "models" / "clip_fixtures" / VOCABULARY
    if not path.exists():
        pytest.skip(f"no CLIP vocabulary at {path}, and open_clip, which brings one, is not installed")
    return path


@pytest.fixture(scope="module")
def ours(vocabulary, tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "tokenizer.json"
    write_tokenizer(vocabulary, path)
    return Tokenizer.open(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "tokenizer.json"
    write_tokenizer(SMALL, path)
    return Tokenizer.open(path)


def same(ours, theirs, texts):
    np.testing.assert_array_equal(ours(texts), theirs(texts))


# On any machine


def test_words_are_merged_by_rank_between_start_and_end(small):
    (row,) = small(["The wide a"])
    # 512 single letters come before the merges; "a" at the end of a word is the 65th printable character.
    the, wide, letter = 512 + 1, 512 + 4, 256 + 64
    assert (small.start, small.end) == (512 + len(SMALL), 513 + len(SMALL))
    assert row[:6].tolist() == [small.start, the, wide, letter, small.end, 0]
    assert row.dtype == np.int64
    assert not row[6:].any()


def test_rows_have_clips_length_whatever_the_text(small):
    assert small([]).shape == (0, 77)
    rows = small(["", "   ", "wide " * 200])
    assert rows.shape == (3, 77)
    assert rows[0].tolist() == rows[1].tolist() == [small.start, small.end] + [0] * 75
    assert rows[2].tolist() == [small.start] + [516] * 75 + [small.end]


def test_one_string_is_not_taken_for_many_letters(small):
    with pytest.raises(TypeError, match=r"pass a list: \['wide'\]"):
        small("wide")


@pytest.mark.parametrize("given", TEXTS, ids=range(len(TEXTS)))
def test_every_text_gives_valid_tokens(small, given):
    (row,) = small([given])
    end = int(np.flatnonzero(row == small.end)[-1])
    assert row[0] == small.start
    assert 0 <= row.min() <= row.max() <= small.end
    assert not row[end + 1 :].any()


def test_cleaning_is_clips():
    assert clean("  Tom &amp;amp; JERRY\n\u00e2\u20ac\u0153x  ") == 'tom & jerry "x'
    assert clean("\ud800a \ud83d\ude00") == "\ufffda \U0001f600"


def naively_merged(word, ranks):
    """The textbook algorithm: join the pair of the lowest rank wherever it occurs, until none is left."""
    parts = [*word[:-1], word[-1] + "</w>"]
    while len(parts) > 1:
        best = min(itertools.pairwise(parts), key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        joined, at = [], 0
        while at < len(parts):
            hit = tuple(parts[at : at + 2]) == best
            joined.append("".join(best) if hit else parts[at])
            at += 2 if hit else 1
        parts = joined
    return parts


@pytest.fixture(scope="module")
def small_document(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("document") / "tokenizer.json"
    write_tokenizer(SMALL, path)
    return json.loads(path.read_bytes())


@given(words=st.lists(st.text("thewida", min_size=1, max_size=20), min_size=1, max_size=3))
def test_merging_is_the_textbook_algorithm(small, small_document, words):
    ranks = {pair: rank for rank, pair in enumerate(SMALL)}
    expected = [small_document["model"]["vocab"][part] for word in words for part in naively_merged(word, ranks)]
    (row,) = small([" ".join(words)])
    assert row[1 : 1 + len(expected)].tolist() == expected


def test_merges_out_of_order_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'th' 'e</w>' joins what no earlier one made"):
        write_tokenizer([("th", "e</w>"), ("t", "h")], tmp_path / "tokenizer.json")
    assert list(tmp_path.iterdir()) == []


def hub_document(merges):
    return json.dumps({"version": "1.0", "pre_tokenizer": {"type": "ByteLevel"}, "model": {"merges": merges}})


@pytest.mark.parametrize("form", [" ".join, list], ids=["strings", "pairs"])
def test_a_hub_tokenizer_gives_the_same_file(small, tmp_path, monkeypatch, form):
    monkeypatch.setattr(text, "_CLIP_MERGES", text._digest(SMALL))
    (tmp_path / "hub.json").write_text(hub_document([form(pair) for pair in SMALL]))
    convert_hub_tokenizer(tmp_path / "hub.json", tmp_path / "tokenizer.json")
    assert Tokenizer.open(tmp_path / "tokenizer.json")(["the wide"]).tolist() == small(["the wide"]).tolist()


NO_TOKENIZER = {
    "empty": "",
    "html": "<!doctype html><title>Not found</title>",
    "cut short": hub_document([["t", "h"]])[:-9],
    "list": "[1, 2]",
    "number": "3",
    "deep": "[" * 100_000,
    "no merges": '{"model": {"type": "BPE"}}',
    "null": '{"model": {"merges": null}}',
    "numbers": hub_document([1, 2]),
    "triples": hub_document(["a b c"]),
    "mixed": hub_document([["a", 1]]),
    "surrogate": hub_document([["\ud800", "b"]]),
    "other": hub_document(["a b"]),
    "bytes": "\ufffd\0",
}


@pytest.mark.parametrize("content", NO_TOKENIZER.values(), ids=NO_TOKENIZER.keys())
@pytest.mark.parametrize(
    "reads",
    [
        Tokenizer.open,
        lambda path: convert_hub_tokenizer(path, path.with_name("new")),
        lambda path: write_tokenizer(path, path.with_name("new")),
    ],
    ids=["open", "convert", "write"],
)
def test_a_file_that_is_not_clips_gives_one_line(tmp_path, reads, content):
    path = tmp_path / "some.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ModelUnavailable, match=r"some\.json: .*; pull or export the model again$") as caught:
        reads(path)
    assert len(str(caught.value).splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["some.json"]


def test_missing_files_and_full_folders_are_told_apart(small, tmp_path):
    with pytest.raises(ModelUnavailable, match="no such file"):
        Tokenizer.open(tmp_path / "tokenizer.json")
    with pytest.raises(ModelUnavailable, match="is a folder"):
        convert_hub_tokenizer(tmp_path, tmp_path / "tokenizer.json")
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="cannot be written"):
        write_tokenizer(SMALL, tmp_path / "file" / "tokenizer.json")


# With CLIP's vocabulary


@pytest.mark.parametrize("index", range(len(TEXTS)))
def test_tokens_are_those_open_clip_gave(ours, index):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[index]
    assert golden["text"] == TEXTS[index], "write the golden tokens anew"
    (row,) = ours([golden["text"]])
    assert row.tolist() == golden["ids"] + [0] * (77 - len(golden["ids"]))


def test_the_hubs_form_of_clips_vocabulary_is_known(vocabulary, ours, tmp_path):
    merges = text._packed_merges(vocabulary)
    (tmp_path / "hub.json").write_text(hub_document([" ".join(pair) for pair in merges]), encoding="utf-8")
    convert_hub_tokenizer(tmp_path / "hub.json", tmp_path / "tokenizer.json")
    assert (ours.start, ours.end) == (49406, 49407)
    np.testing.assert_array_equal(Tokenizer.open(tmp_path / "tokenizer.json")(TEXTS), ours(TEXTS))


def test_another_vocabulary_of_the_same_form_is_refused(vocabulary, tmp_path):
    merges = text._packed_merges(vocabulary)
    merges[100], merges[101] = merges[101], merges[100]
    (tmp_path / "hub.json").write_text(hub_document(merges), encoding="utf-8")
    with pytest.raises(ModelUnavailable, match="holds other merges than CLIP's"):
        convert_hub_tokenizer(tmp_path / "hub.json", tmp_path / "tokenizer.json")


# With open_clip


def test_chosen_texts_agree_with_open_clip(ours, theirs):
    same(ours, theirs, TEXTS)


@settings(max_examples=300)
@given(texts=st.lists(st.text(st.characters()), min_size=1, max_size=4))
def test_any_text_agrees_with_open_clip(ours, theirs, texts):
    same(ours, theirs, texts)


PIECES = [
    START,
    END,
    "<",
    ">",
    "'s",
    "'LL",
    "'\u017f",
    "&amp;",
    "&lt;",
    "&#233",
    ";",
    "\u0345",
    "\u0301",
    " ",
    "\n",
    "\x1c",
]
PIECES += ["\u200d", "\ufe0f", "\U0001f469", "\U0001f3fd", "\u00e2\u20ac", "\u0153", "\u00c3\u00a9", "\ud83d", "\ude00"]
PIECES += ["photo", "Photo", "7", "\u4e2d", "\u00df", "\u0130", "-", "...", "\u3000", "_"]


@settings(max_examples=300)
@given(texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), min_size=1, max_size=4))
def test_awkward_pieces_in_any_order_agree_with_open_clip(ours, theirs, texts):
    same(ours, theirs, texts)


def test_characters_agree_with_open_clip(ours, theirs):
    """All of the first scripts, and a sample of the rest."""
    same(ours, theirs, [f"a{chr(c)}b {chr(c)}" for c in [*range(0x600), *range(0x600, sys.maxunicode, 307)]])


def test_every_assigned_character_agrees_with_open_clip(ours, theirs):
    """Planes 0 to 3 and the tags of plane 14, in texts of ten, which stay below 77 tokens."""
    assigned = [*range(0x34000), *range(0xE0000, 0xE0200)]
    same(
        ours,
        theirs,
        [" ".join(map(chr, ten)) for ten in (assigned[at : at + 10] for at in range(0, len(assigned), 10))],
    )


def main():
    tokens = helper("open_clip_here").open_clip().get_tokenizer("ViT-B-32")(TEXTS).numpy()
    rows = [{"text": text, "ids": np.trim_zeros(row, "b").tolist()} for text, row in zip(TEXTS, tokens, strict=True)]
    # ASCII, since half a surrogate pair cannot be written otherwise.
    lines = ",\n".join(json.dumps(row) for row in rows)
    GOLDEN.write_text(f"[\n{lines}\n]\n", encoding="ascii")


if __name__ == "__main__":
    main()
