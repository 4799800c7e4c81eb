"""Settings × methods × seeds as jobs of Snakemake."""
