"""The book's engine: experiments, the paper, tables, figures, pages, the command line."""
