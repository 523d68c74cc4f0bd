"""``python -m bayesgc`` is the command ``bayesgc``."""

from bayesgc.cli import main

if __name__ == "__main__":
    main()
