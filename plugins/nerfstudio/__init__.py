"""clay4d as a method and as a dataparser of nerfstudio 1.1.5, on a CPU.

nerfstudio pins other versions than clay4d, so it lives in a virtual environment of its own, which
`make nerfstudio` makes; `launch` finds it and `__main__` runs there.
"""
