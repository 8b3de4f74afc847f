"""Cards, their NVDEC and NVENC, and what keeps this process from using them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..cards import Card, Format, Survey
from ._check import Check

CAPABILITIES = "compute,utility,video"
"""What NVIDIA's container toolkit has to bring in; by default it leaves ``video`` out."""


def card_checks(found: Survey) -> Iterator[Check]:
    """The card, its decoder and its encoder, of every kind of card."""
    yield _cards(found)
    yield _decoding(found)
    yield _encoding(found)


def in_container() -> bool:
    """Whether this process seems to run in a container."""
    signs = (Path("/.dockerenv"), Path("/run/.containerenv"))
    return any(sign.exists() for sign in signs) or "NVIDIA_VISIBLE_DEVICES" in os.environ or "container" in os.environ


def _cards(found: Survey) -> Check:
    if not found.usable:
        return Check("gpu", False, *_why_none(found))
    value = "; ".join(_named(card) for card in found.usable)
    hidden = [card.name for card in found.cards if card.ordinal is None]
    if hidden:
        value += f"; hidden from this process: {', '.join(hidden)}"
    cuda = f", CUDA {_dotted(found.cuda)}" if found.cuda else ""
    return Check("gpu", True, f"{value}; driver {found.driver or 'of unknown version'}{cuda}")


def _named(card: Card) -> str:
    memory = card.slices[0].memory if card.slices else card.memory
    details = [f"sm_{card.capability[0]}{card.capability[1]}"] if card.capability else []
    details += [f"{memory / 2**30:.1f} GiB"] if memory else []
    name = card.slices[0].name if card.slices else card.name
    number = f"{card.ordinal}: " if card.ordinal is not None else ""
    return f"{number}{name}" + (f" ({', '.join(details)})" if details else "")


def _why_none(found: Survey) -> tuple[str, str]:
    """What is wrong, and what to do about it, where CUDA offers no card."""
    faults = "; ".join(found.faults)
    if not found.has_answered:
        return faults, "run nvidia-smi; if it hangs too, the card or its driver needs a reset: restart the machine"
    if "mismatch" in faults.lower():
        hint = "the driver was updated while it was loaded: restart the machine (containers: start them anew)"
        return f"the driver's libraries are not of the version that is loaded: {faults}", hint
    if not (found.cards or found.driver or found.libraries.get("cuda")):
        return "no NVIDIA GPU found", "not needed: the CPU does everything; else an NVIDIA GPU that nvidia-smi lists"
    return _why_hidden(found) or _why_unusable(found)


def _why_hidden(found: Survey) -> tuple[str, str] | None:
    """The same, where there are cards that settings keep from this process."""
    names = ", ".join(card.name for card in found.cards)
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if any(card.is_mig and not card.slices for card in found.cards):
        hint = "make one with nvidia-smi mig -cgi PROFILE -C (nvidia-smi mig -lgip lists profiles), or turn MIG off"
        return f"{names}: MIG is on, and there is no MIG instance", hint
    if found.cards and chosen is not None:
        card = found.cards[0]
        hint = f"unset CUDA_VISIBLE_DEVICES, or set it to {card.slices[0].uuid if card.slices else card.uuid}"
        return f"{names}: hidden from this process by CUDA_VISIBLE_DEVICES={chosen!r}", hint
    return None


def _why_unusable(found: Survey) -> tuple[str, str]:
    names = ", ".join(card.name for card in found.cards)
    if found.libraries.get("cuda"):
        hint = "run nvidia-smi; in a container, start it with --gpus all"
        return f"{names or 'no card'}: CUDA cannot use it: {'; '.join(found.faults) or 'no reason given'}", hint
    missing = f"{names or 'an NVIDIA driver'} is there, but libcuda.so.1 cannot be loaded"
    return missing, _container_hint() if in_container() else "install the driver's compute library (libnvidia-compute)"


def _container_hint() -> str:
    now = os.environ.get("NVIDIA_DRIVER_CAPABILITIES")
    if now and ("all" in now.split(",") or "video" in now.split(",")):
        packages = "libnvidia-decode-VERSION and libnvidia-encode-VERSION"
        return f"the host's driver lacks it: install its video libraries there (Ubuntu: {packages})"
    return (
        f"start the container with --gpus all -e NVIDIA_DRIVER_CAPABILITIES={CAPABILITIES}"
        f" (now: {now or 'not set, so compute,utility'})"
    )


def _decoding(found: Survey) -> Check:
    library = f"libnvcuvid.so.1 {'loads' if found.libraries.get('nvcuvid') else 'cannot be loaded'}"
    if not found.usable:
        return Check("NVDEC", False, library, "see gpu" if found.cards else "not needed without an NVIDIA GPU")
    if not found.libraries.get("nvcuvid"):
        hint = "install the driver's decoding library (Ubuntu: libnvidia-decode-VERSION, Debian: libnvcuvid1)"
        return Check(
            "NVDEC", False, f"{library}; {_listed(found.usable)}", _container_hint() if in_container() else hint
        )
    names = {card.name: card for card in reversed(found.usable)}
    values = [f"{name}: {_decoder(card)}" for name, card in reversed(names.items())]
    faults = [card.decode_fault for card in found.usable if card.decode_fault]
    hint = f"a card could not be asked, so NVIDIA's table stands for it: {faults[0]}" if faults else ""
    return Check("NVDEC", bool(faults) or any(card.decodes for card in found.usable), "; ".join(values), hint)


def _listed(cards: tuple[Card, ...]) -> str:
    return "; ".join(sorted({f"{card.name} has {_count(card.decoders)}" for card in cards}))


def _count(engines: int | None) -> str:
    return {None: "engines whose number is not known", 1: "1 engine"}.get(engines, f"{engines} engines")


def _decoder(card: Card) -> str:
    if card.decodes is None:
        av1 = {True: "AV1 too", False: "no AV1", None: "codecs unknown"}[card.has_av1]
        return f"{_count(card.decoders)}; {av1}"
    codecs = dict.fromkeys(each.codec for each in card.decodes)
    formats = ", ".join(f"{codec} {_formats(codec, card.decodes)}" for codec in codecs)
    return f"{_count(card.decoders)}: {formats}" + ("" if card.has_av1 else "; no av1")


def _formats(codec: str, formats: tuple[Format, ...]) -> str:
    """Such as ``8/10-bit``, with chroma where it is not 4:2:0."""
    mine = [each for each in formats if each.codec == codec]
    parts = []
    for chroma in dict.fromkeys(each.chroma for each in mine):
        bits = "/".join(str(each.bits) for each in mine if each.chroma == chroma)
        parts.append(f"{bits}-bit" if chroma == "4:2:0" else f"{chroma} {bits}-bit")
    return " + ".join(parts)


def _encoding(found: Survey) -> Check:
    loads = found.libraries.get("nvenc", False)
    library = f"libnvidia-encode.so.1 {'loads' if loads else 'cannot be loaded'}"
    unused = "not needed: clips are encoded on the CPU"
    if not found.usable:
        return Check("NVENC", False, library, unused)
    engines = [f"{card.name}: {_encoder(card)}" for card in {card.name: card for card in found.usable}.values()]
    works = loads and any(card.encodes or (card.encodes is None and card.encoders) for card in found.usable)
    hint = "" if works else unused
    if not loads and any(card.encodes or card.encoders for card in found.usable):
        there = _container_hint() if in_container() else "install libnvidia-encode-VERSION (Debian: libnvidia-encode1)"
        hint = f"{unused}; for --encoder nvenc: {there}"
    return Check("NVENC", works, f"{library}; {'; '.join(engines)}", hint)


def _encoder(card: Card) -> str:
    if card.encodes == () or card.encoders == 0:
        return "no engine"
    return f"{_count(card.encoders)}" + (f" ({', '.join(card.encodes)})" if card.encodes else "")


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
