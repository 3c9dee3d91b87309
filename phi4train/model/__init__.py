"""The model: torch and peft only; it meets the data in `phi4train.batch.Batch`.

Batch ──► phi4.py: Phi4Model ────────────────────────────────────────────────► hidden rows (T, D)
            │ embed          vision.py (encoder, projector) fills the image slots
            │ route          routing.py: mode or modality of each row ──► adapter
            │ decode         language_model.py: decoder layers
            │                  ├─ attention.py  within each sample, packed; rope.py rotates
            │                  └─ lora.py       the linears, each row with its own adapter
            ▼
generation.py: the same, token by token, with a key-value cache

components.py   names the parts: build, initialise, save, load ── ownership.py  who owns which tensor
shapes.py, component_names.py   sizes and names, free of torch
"""
