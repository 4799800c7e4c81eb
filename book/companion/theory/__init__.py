"""The paper's mathematics: risks, influence, its theorems, privacy, landscape and cost."""
