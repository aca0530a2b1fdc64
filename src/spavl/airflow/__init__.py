"""What Airflow needs to run the map: the functions its tasks call, their wiring, and the plugin that shows reports.

Nothing here works on data: each task starts `python -m spavl …` through `spavl.launch` and passes on ids.
"""
