from __future__ import annotations

import subprocess
import sys
import types

import pytest

import bestshot_trt as bt


def test_every_public_name_can_be_imported():
    missing = [name for name in bt.__all__ if not hasattr(bt, name)]
    assert missing == []


def test_nothing_else_is_public():
    bt.run, bt.Config, bt.read_track  # noqa: B018
    typing_only = {"Any", "TYPE_CHECKING", "ModuleType"}
    found = {
        name
        for name, value in vars(bt).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name not in typing_only
    }
    assert found <= set(bt.__all__)


def test_the_list_is_sorted_and_what_dir_shows():
    assert list(bt.__all__) == sorted(bt.__all__)
    assert dir(bt) == sorted(bt.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        bt.analyse  # noqa: B018


def test_star_import_brings_the_steps():
    code = "from bestshot_trt import *; print(run.__name__, analyze.__name__, pick.__name__, export.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["run", "analyze", "pick", "export"]


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, bestshot_trt; print(*{'numpy', 'av', 'cv2', 'pyarrow', 'PIL', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_take_is_decoded_before_what_only_its_pictures_need_is_loaded(clip, tmp_path):
    take = clip("-c:v libx264 -preset ultrafast", size="96x64", rate="10", seconds=1)
    code = (
        "import sys\n"
        "from bestshot_trt import AnalyzeConfig, Config, analysis\n"
        "begin = analysis.measurements\n"
        "def told(*arguments):\n"
        "    print(*{'numpy', 'cv2', 'pyarrow', 'bestshot_trt.moments'} & set(sys.modules), 'loaded')\n"
        "    return begin(*arguments)\n"
        "analysis.measurements = told\n"
        "config = Config(analyze=AnalyzeConfig(model='none', backend='cpu'))\n"
        f"track = analysis.analyze_to({str(take)!r}, {str(tmp_path / 'track.parquet')!r}, config)\n"
        "print(len(track), *{'numpy.ma', 'bestshot_trt.moments'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["loaded", "3"]


def test_export_stays_the_step_when_its_subpackage_is_imported():
    code = "import bestshot_trt.export.clips, bestshot_trt as bt; print(type(bt.export).__name__, bt.export.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["function", "bestshot_trt.pipeline"]
