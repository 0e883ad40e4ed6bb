"""Write every net of the catalogue to its folder."""

from pathlib import Path

from zoo.writing.catalogue import MODELS, files

HERE = Path(__file__).parent.parent

for model in MODELS:
    for name, text in files(model).items():
        path = HERE / model.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(HERE.parent))
