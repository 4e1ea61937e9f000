"""How results look: pages for people, and JSON, CSV and Markdown for everything else."""
