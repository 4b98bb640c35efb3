"""`python -m distilhubert_ko` is the command `distilhubert-ko`."""

from distilhubert_ko.cli.main import main

if __name__ == "__main__":
    main()
